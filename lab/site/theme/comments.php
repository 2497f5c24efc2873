<?php /* SPDX-License-Identifier: BSD-2-Clause: the comments below a post, newest first. */ ?>
<section id="comments">
<ol><?php wp_list_comments(array('style' => 'ol', 'avatar_size' => 0)); ?></ol>
<?php comment_form(); ?>
</section>

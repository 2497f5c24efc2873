<?php /* SPDX-License-Identifier: BSD-2-Clause: every page of the demo. */ ?>
<!DOCTYPE html>
<html <?php language_attributes(); ?>>
<head>
<meta charset="<?php bloginfo('charset'); ?>">
<meta name="viewport" content="width=device-width">
<?php wp_head(); ?>
<link rel="stylesheet" href="<?php echo esc_url(get_stylesheet_uri()); ?>">
</head>
<body>
<h1><a href="<?php echo esc_url(home_url('/')); ?>"><?php bloginfo('name'); ?></a></h1>
<?php while (have_posts()) : the_post(); ?>
<article>
<h2><a href="<?php the_permalink(); ?>"><?php the_title(); ?></a></h2>
<?php the_content(); ?>
<?php if (is_singular()) comments_template(); else echo '<p>', esc_html(get_comments_number()), ' comments</p>'; ?>
</article>
<?php endwhile; ?>
<footer>answered by <?php echo esc_html(gethostname()); ?> · <?php echo esc_html(get_num_queries()); ?> queries ·
<?php wp_loginout(); ?></footer>
<?php wp_footer(); ?>
</body>
</html>

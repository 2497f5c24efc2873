<?php
/*
 * Plugin Name: Demo
 * Description: What the lab's WordPress does otherwise than others.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A must-use plugin. The load of demo-check posts faster than people do, and a comment posted twice must be found in the
 * database twice and not be hidden by WordPress's own guard.
 */
add_filter('comment_flood_filter', '__return_false', 100);
add_filter('duplicate_comment_id', '__return_false');

/* Nobody reads mail on the machines of the lab. */
function wp_mail()
{
	return true;
}

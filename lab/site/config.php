<?php
/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The lab's /etc/wordpress/config-default.php, which Debian's wp-config.php includes. @NAMES@ are filled in by lab/wordpress.py.
 */
define('DB_NAME', 'wordpress');
define('DB_USER', 'wordpress');
define('DB_PASSWORD', '@PASSWORD@');
define('DB_HOST', '@DATABASE@'); /* noah's listener */
define('WP_CONTENT_DIR', '@CONTENT@');
define('WP_DEFAULT_THEME', 'demo');
/* The machines of the lab reach nothing but each other. */
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('DISABLE_WP_CRON', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
define('DISALLOW_FILE_MODS', true);
foreach (array('AUTH_KEY', 'SECURE_AUTH_KEY', 'LOGGED_IN_KEY', 'NONCE_KEY', 'AUTH_SALT', 'SECURE_AUTH_SALT', 'LOGGED_IN_SALT',
	'NONCE_SALT') as $demo_key)
	define($demo_key, hash('sha256', $demo_key . '@SECRET@')); /* the same on all web servers */
header('X-Answered-By: ' . gethostname());
/* Which POSTs have arrived here, before anything is done with them: so that the check notices one that was sent twice. */
if (($_SERVER['REQUEST_METHOD'] ?? '') === 'POST')
	file_put_contents('@POSTS@', ($_GET['v'] ?? '-') . "\n", FILE_APPEND | LOCK_EX);

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The SQL classifier, statement by statement: what it is, where it may run, what it leaves behind.
 */
#include "unit.h"

#include "edge.h"
#include "sql/classify.h"

#include <stdio.h>
#include <stdlib.h>

/* One line of a table. Reads on any server have route READ and reason NONE. */
struct expectation {
	const char *text;
	enum sql_kind kind;
	enum sql_route route;
	enum sql_reason reason;
	enum sql_reason binds;
	unsigned mode;
};

#define READS(text)                                                              \
	{                                                                            \
		text, SQL_KIND_READ, SQL_ROUTE_READ, SQL_REASON_NONE, SQL_REASON_NONE, 0 \
	}
#define PRIMARY_READ(text, why)                                                      \
	{                                                                                \
		text, SQL_KIND_READ, SQL_ROUTE_PRIMARY, SQL_REASON_##why, SQL_REASON_NONE, 0 \
	}
#define LAST_READ(text)                                                                    \
	{                                                                                      \
		text, SQL_KIND_READ, SQL_ROUTE_LAST, SQL_REASON_LAST_STATEMENT, SQL_REASON_NONE, 0 \
	}
#define IS(text, what, why)                                                            \
	{                                                                                  \
		text, SQL_KIND_##what, SQL_ROUTE_PRIMARY, SQL_REASON_##why, SQL_REASON_NONE, 0 \
	}
#define BINDS(text, what, why, bound)                                                     \
	{                                                                                     \
		text, SQL_KIND_##what, SQL_ROUTE_PRIMARY, SQL_REASON_##why, SQL_REASON_##bound, 0 \
	}
#define BROKEN(text)                                                                     \
	{                                                                                    \
		text, SQL_KIND_OTHER, SQL_ROUTE_PRIMARY, SQL_REASON_BROKEN, SQL_REASON_BROKEN, 0 \
	}

static void check_one(const struct expectation *want)
{
	struct sql_class class;
	sql_classify(span_of_text(want->text), want->mode, &class);
	if (class.kind != want->kind || class.route != want->route || class.reason != want->reason ||
	    (want->binds == SQL_REASON_NONE) != (class.binds == SQL_REASON_NONE) ||
	    (want->binds != SQL_REASON_NONE && class.binds != want->binds))
		fail_msg("\"%s\": is %s, route %d, \"%s\", binds \"%s\"; wanted %s, route %d, \"%s\", binds \"%s\"", want->text,
		         sql_kind_name(class.kind), (int)class.route, sql_reason_text(class.reason), sql_reason_text(class.binds),
		         sql_kind_name(want->kind), (int)want->route, sql_reason_text(want->reason), sql_reason_text(want->binds));
}

static void check_table(const struct expectation *table, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check_one(&table[i]);
}

static void reads_go_anywhere(void **state)
{
	(void)state;
	static const struct expectation table[] = {
	    READS("SELECT 1"),
	    READS("select c from sbtest1 where id=123"),
	    READS("SELECT/**/1"),
	    READS("/* hello */ SELECT 1 -- x"),
	    READS("-- first\nSELECT 1"),
	    READS("--\nSELECT 1"),
	    READS("# first\nSELECT 1"),
	    READS("  \t\r\n SELECT 1;  "),
	    READS("SELECT 1;;; -- end"),
	    READS("SELECT 1--1"),
	    READS("SELECT option_value FROM wp_options WHERE option_name = 'siteurl' LIMIT 1"),
	    READS("SELECT option_name, option_value FROM wp_options WHERE autoload IN ( 'yes', 'on', 'auto-on', 'auto' )"),
	    READS("SELECT wp_posts.* FROM wp_posts WHERE 1=1 AND ((wp_posts.post_type = 'post' AND (wp_posts.post_status = "
	          "'publish'))) ORDER BY wp_posts.post_date DESC LIMIT 0, 10"),
	    READS("SELECT t.*, tt.* FROM wp_terms AS t INNER JOIN wp_term_taxonomy AS tt ON t.term_id = tt.term_id WHERE "
	          "tt.taxonomy IN ('category') AND t.name LIKE '%it\\'s; DELETE FROM x%'"),
	    READS("(SELECT 1) UNION (SELECT 2) ORDER BY 1"),
	    READS("((SELECT 1))"),
	    READS("VALUES (1,2),(3,4)"),
	    READS("TABLE t"),
	    READS("WITH a AS (SELECT 1) SELECT * FROM a"),
	    READS("WITH RECURSIVE a(n, m) AS (SELECT 1, 2 UNION ALL SELECT n+1, m FROM a WHERE n < 5), b (x) AS (SELECT 3) "
	          "SELECT count(*) FROM a, b"),
	    READS("EXPLAIN SELECT 1"),
	    READS("EXPLAIN FORMAT=JSON SELECT 1"),
	    READS("EXPLAIN EXTENDED SELECT 1"),
	    READS("explain (select 1)"),
	    READS("ANALYZE FORMAT=JSON SELECT 1"),
	    READS("EXPLAIN ANALYZE SELECT 1"),
	    READS("EXPLAIN WITH a(x) AS (SELECT 1) SELECT * FROM a"),
	    READS("DESCRIBE wp_posts"),
	    READS("DESC wp_posts post_title"),
	    READS("SHOW TABLES"),
	    READS("SHOW FULL TABLES LIKE 'wp\\_%'"),
	    READS("SHOW FULL COLUMNS FROM `wp_options`"),
	    READS("SHOW CREATE TABLE wp_options"),
	    READS("SHOW INDEX FROM t"),
	    READS("SHOW DATABASES"),
	    READS("SHOW CHARACTER SET"),
	    READS("SELECT COUNT(*), MAX(a), CONCAT('a', b), IF(a, 1, 2), LEFT(a, 1), INSERT('a', 1, 2, 'b'), REPLACE(a, 'b', 'c') "
	          "FROM t"),
	    READS("SELECT DATE_FORMAT(NOW(), '%Y'), UNIX_TIMESTAMP(), RAND(), UUID(), USER(), DATABASE()"),
	    READS("SELECT JSON_EXTRACT(a, '$.b'), a->'$.c', a->>'$.d' FROM t"),
	    READS("SELECT ROW_NUMBER() OVER (PARTITION BY a ORDER BY b) FROM t WINDOW w AS (ORDER BY c)"),
	    READS("SELECT a FROM t USE INDEX (i) IGNORE KEY FOR ORDER BY (j) WHERE a IN (1) AND (b) OR NOT (c)"),
	    READS("SELECT MATCH (a) AGAINST ('x' IN BOOLEAN MODE) FROM t"),
	    READS("SELECT CAST(a AS DECIMAL(10,2)), CAST(b AS CHAR(3)), CONVERT(c USING utf8mb4) FROM t"),
	    READS("SELECT GROUP_CONCAT(DISTINCT a ORDER BY b SEPARATOR ',') FROM t GROUP BY (c) HAVING (COUNT(*) > 1)"),
	    READS("SELECT * FROM t WHERE a = ? AND b > ?"),
	    READS("SELECT N'x', _utf8mb4'y', x'4D', b'01', 0x1F, 1.5e-3, .5, \\N"),
	    READS("SELECT `count`, `a``b` FROM `information_schema`.`COLUMNS`"),
	    READS("SELECT table_name FROM information_schema.columns WHERE table_schema = DATABASE()"),
	    READS("SELECT @@SESSION.sql_mode"),
	    READS("select @@autocommit"),
	    READS("SELECT 'a' 'b', \"it\"\"s\", 'it''s'"),
	    READS("SELECT 'for update', \"into @x\", `lock in` FROM t"),
	    READS("SELECT 'é', 'ü', 名前 FROM テーブル"),
	    READS("SELECT /*!40001 SQL_NO_CACHE */ * FROM t"),
	    READS("SELECT /*! STRAIGHT_JOIN */ * FROM t"),
	    READS("SELECT /*+ MAX_EXECUTION_TIME(1000) */ * FROM t"),
	    READS("/*!50000 SELECT */ 1"),
	    READS("SELECT t.update, t.insert, x.into FROM t, x"),
	    READS("SELECT * FROM t FOR SYSTEM_TIME AS OF TIMESTAMP '2020-01-01 00:00:00'"),
	    READS("SELECT * FROM t, JSON_TABLE(j, '$' COLUMNS (a INT PATH '$.a')) x"),
	    READS("SELECT {fn NOW()}, {d '2020-01-01'}"),
	    READS("SELECT * FROM t WHERE a REGEXP (b) AND c BETWEEN (1) AND (2)"),
	    {"SELECT count (a) FROM t", SQL_KIND_READ, SQL_ROUTE_READ, SQL_REASON_NONE, SQL_REASON_NONE, SQL_IGNORE_SPACE},
	    {"SELECT \"a;b\" FROM t", SQL_KIND_READ, SQL_ROUTE_READ, SQL_REASON_NONE, SQL_REASON_NONE, SQL_ANSI_QUOTES},
	    {"SELECT 'a\\' FROM t", SQL_KIND_READ, SQL_ROUTE_READ, SQL_REASON_NONE, SQL_REASON_NONE, SQL_NO_BACKSLASH_ESCAPES},
	    {"SELECT 'plain'", SQL_KIND_READ, SQL_ROUTE_READ, SQL_REASON_NONE, SQL_REASON_NONE, SQL_UNSAFE_CHARSET},
	};
	check_table(table, COUNT_OF(table));
}

static void other_reads_do_not(void **state)
{
	(void)state;
	static const struct expectation table[] = {
	    PRIMARY_READ("SELECT * FROM t FOR UPDATE", LOCKING_READ),
	    PRIMARY_READ("SELECT * FROM t FOR UPDATE SKIP LOCKED", LOCKING_READ),
	    PRIMARY_READ("SELECT * FROM t FOR /* x */ SHARE", LOCKING_READ),
	    PRIMARY_READ("SELECT * FROM t LOCK IN SHARE MODE", LOCKING_READ),
	    PRIMARY_READ("SELECT * FROM t\nFOR\n/*!40000 UPDATE */", LOCKING_READ),
	    PRIMARY_READ("SELECT * INTO OUTFILE '/tmp/x' FROM t", INTO),
	    PRIMARY_READ("SELECT a FROM t INTO DUMPFILE '/tmp/x'", INTO),
	    BINDS("SELECT a INTO @x FROM t", READ, INTO, USER_VARIABLE_SET),
	    BINDS("SELECT a, b FROM t INTO @x, @y", READ, INTO, USER_VARIABLE_SET),
	    BINDS("SELECT @a := 1", READ, USER_VARIABLE_READ, USER_VARIABLE_SET),
	    BINDS("SELECT @a:=@a+1 FROM t", READ, USER_VARIABLE_READ, USER_VARIABLE_SET),
	    BINDS("SELECT @`a b` := 1", READ, USER_VARIABLE_READ, USER_VARIABLE_SET),
	    PRIMARY_READ("SELECT @a", USER_VARIABLE_READ),
	    PRIMARY_READ("SELECT @'a b', 1", USER_VARIABLE_READ),
	    LAST_READ("SELECT FOUND_ROWS()"),
	    LAST_READ("SELECT ROW_COUNT()"),
	    LAST_READ("SHOW WARNINGS"),
	    LAST_READ("SHOW COUNT(*) ERRORS"),
	    LAST_READ("SELECT @@warning_count"),
	    LAST_READ("SELECT @@session.error_count"),
	    PRIMARY_READ("SELECT LAST_INSERT_ID()", LAST_INSERT_ID),
	    PRIMARY_READ("SELECT last_insert_id ( ) ;", LAST_INSERT_ID),
	    PRIMARY_READ("SELECT @@identity", LAST_INSERT_ID),
	    PRIMARY_READ("SELECT FOUND_ROWS(), LAST_INSERT_ID()", LAST_INSERT_ID),
	    PRIMARY_READ("SELECT SQL_CALC_FOUND_ROWS * FROM t", CALC_FOUND_ROWS),
	    PRIMARY_READ("SELECT NEXTVAL(s)", SEQUENCE),
	    PRIMARY_READ("SELECT NEXT VALUE FOR s", SEQUENCE),
	    PRIMARY_READ("SELECT PREVIOUS VALUE FOR s", SEQUENCE),
	    PRIMARY_READ("SELECT LASTVAL(s), 1", SEQUENCE),
	    PRIMARY_READ("SELECT s.nextval", SEQUENCE),
	    BINDS("SELECT GET_LOCK('a', 1)", READ, USER_LOCK, USER_LOCK),
	    BINDS("SELECT get_lock /* */ ('a', 1)", READ, USER_LOCK, USER_LOCK),
	    PRIMARY_READ("SELECT RELEASE_LOCK('a')", USER_LOCK),
	    PRIMARY_READ("SELECT IS_FREE_LOCK('a')", USER_LOCK),
	    PRIMARY_READ("SELECT f(1)", UNKNOWN_FUNCTION),
	    PRIMARY_READ("SELECT db.now()", UNKNOWN_FUNCTION),
	    PRIMARY_READ("SELECT db . f /**/ (1)", UNKNOWN_FUNCTION),
	    PRIMARY_READ("SELECT `now`()", UNKNOWN_FUNCTION),
	    PRIMARY_READ("SELECT `d`.`f`()", UNKNOWN_FUNCTION),
	    PRIMARY_READ("SELECT count (a) FROM t", UNKNOWN_FUNCTION),
	    PRIMARY_READ("SELECT a FROM t PROCEDURE ANALYSE()", UNKNOWN_FUNCTION),
	    PRIMARY_READ("WITH a AS (SELECT 1) SELECT 1, f(2) FROM a", UNKNOWN_FUNCTION),
	    PRIMARY_READ("WITH a AS (SELECT f(1)) SELECT 1 FROM a", UNKNOWN_FUNCTION),
	    PRIMARY_READ("SELECT 2fa(1)", UNKNOWN_FUNCTION),
	    PRIMARY_READ("SELECT VERSION()", SERVER_FUNCTION),
	    PRIMARY_READ("SELECT CONNECTION_ID()", SERVER_FUNCTION),
	    PRIMARY_READ("SELECT MASTER_GTID_WAIT('0-1-1', 1)", SERVER_FUNCTION),
	    PRIMARY_READ("SELECT LOAD_FILE('/etc/passwd')", SERVER_FUNCTION),
	    PRIMARY_READ("SELECT @@version", SYSTEM_VARIABLE),
	    PRIMARY_READ("SELECT @@global.sql_mode", SYSTEM_VARIABLE),
	    PRIMARY_READ("SELECT @@hostname, @@server_id", SYSTEM_VARIABLE),
	    PRIMARY_READ("SELECT @@GLOBAL.gtid_binlog_pos", SYSTEM_VARIABLE),
	    PRIMARY_READ("SELECT * FROM mysql.user", SYSTEM_TABLE),
	    PRIMARY_READ("SELECT * FROM `mysql`.`user`", SYSTEM_TABLE),
	    PRIMARY_READ("SELECT * FROM information_schema.processlist", SYSTEM_TABLE),
	    PRIMARY_READ("SELECT * FROM INFORMATION_SCHEMA . TABLES", SYSTEM_TABLE),
	    PRIMARY_READ("SELECT * FROM performance_schema.threads", SYSTEM_TABLE),
	    PRIMARY_READ("SHOW STATUS", SHOW_SERVER),
	    PRIMARY_READ("SHOW GLOBAL STATUS LIKE 'x'", SHOW_SERVER),
	    PRIMARY_READ("SHOW VARIABLES LIKE 'sql_mode'", SHOW_SERVER),
	    PRIMARY_READ("SHOW FULL PROCESSLIST", SHOW_SERVER),
	    PRIMARY_READ("SHOW MASTER STATUS", SHOW_SERVER),
	    PRIMARY_READ("SHOW SLAVE STATUS", SHOW_SERVER),
	    PRIMARY_READ("SHOW TABLE STATUS", SHOW_SERVER),
	    PRIMARY_READ("SHOW GRANTS", SHOW_SERVER),
	    IS("EXPLAIN UPDATE t SET a = 1", WRITE, EXPLAIN),
	    PRIMARY_READ("EXPLAIN FOR CONNECTION 5", EXPLAIN),
	    IS("ANALYZE UPDATE t SET a = 1", WRITE, EXPLAIN),
	    IS("WITH a AS (SELECT 1) DELETE FROM t", WRITE, WRITES),
	    IS("WITH a AS (SELECT 1) UPDATE t, a SET x = 1", WRITE, WRITES),
	    IS("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", WRITE, WRITES),
	    IS("WITH a AS (SELECT 1) /* SELECT */ REPLACE INTO t SELECT 1", WRITE, WRITES),
	    IS("SELECT 1 DELETE", WRITE, WRITES),
	};
	check_table(table, COUNT_OF(table));
}

static void writes_and_the_rest(void **state)
{
	(void)state;
	static const struct expectation table[] = {
	    IS("INSERT INTO t VALUES (1, 'SELECT')", WRITE, WRITES),
	    IS("/* SELECT */ insert into t values (1)", WRITE, WRITES),
	    IS("-- SELECT 1\nDELETE FROM t", WRITE, WRITES),
	    IS("# it's\nDELETE FROM t", WRITE, WRITES),
	    IS("UPDATE t SET a = f(b) WHERE c = @x", WRITE, WRITES),
	    IS("REPLACE INTO t VALUES (1)", WRITE, WRITES),
	    IS("INSERT INTO t VALUES (@x)", WRITE, WRITES),
	    IS("INSERT INTO t (id) VALUES (LAST_INSERT_ID(5))", WRITE, WRITES),
	    BINDS("UPDATE t SET a = @x := a + 1", WRITE, WRITES, USER_VARIABLE_SET),
	    BINDS("INSERT INTO t VALUES (GET_LOCK('a', 1))", WRITE, WRITES, USER_LOCK),
	    IS("LOAD DATA INFILE 'x' INTO TABLE t", WRITE, WRITES),
	    IS("LOAD DATA LOCAL INFILE 'x' INTO TABLE t", LOAD_LOCAL, LOAD_LOCAL),
	    IS("LOAD XML CONCURRENT LOCAL INFILE 'x' INTO TABLE t", LOAD_LOCAL, LOAD_LOCAL),
	    BINDS("LOAD DATA LOCAL INFILE 'x' INTO TABLE t (a, @b) SET c = @b + 1", LOAD_LOCAL, LOAD_LOCAL, USER_VARIABLE_SET),
	    IS("LOAD INDEX INTO CACHE t", OTHER, ADMINISTRATION),
	    IS("BEGIN", BEGIN, TRANSACTION),
	    IS("begin work;", BEGIN, TRANSACTION),
	    IS("START TRANSACTION", BEGIN, TRANSACTION),
	    IS("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ WRITE", BEGIN, TRANSACTION),
	    IS("START SLAVE", OTHER, ADMINISTRATION),
	    BINDS("BEGIN NOT ATOMIC SELECT 1; END", OTHER, COMPOUND, COMPOUND),
	    IS("COMMIT", COMMIT, TRANSACTION),
	    IS("COMMIT AND CHAIN", COMMIT, TRANSACTION),
	    IS("ROLLBACK TO SAVEPOINT a", ROLLBACK, TRANSACTION),
	    IS("SAVEPOINT a", SAVEPOINT, TRANSACTION),
	    IS("RELEASE SAVEPOINT a", SAVEPOINT, TRANSACTION),
	    IS("USE db", USE, USE_DATABASE),
	    IS("CREATE TABLE t (a INT)", DDL, DDL),
	    IS("CREATE TABLE t AS SELECT 1", DDL, DDL),
	    IS("CREATE OR REPLACE VIEW v AS SELECT 1", DDL, DDL),
	    BINDS("CREATE TEMPORARY TABLE t (a INT)", TEMPORARY_TABLE, TEMPORARY_TABLE, TEMPORARY_TABLE),
	    BINDS("CREATE OR REPLACE /* x */ TEMPORARY TABLE t (a INT)", TEMPORARY_TABLE, TEMPORARY_TABLE, TEMPORARY_TABLE),
	    BINDS("CREATE /*!40000 TEMPORARY */ TABLE t (a INT)", TEMPORARY_TABLE, TEMPORARY_TABLE, TEMPORARY_TABLE),
	    IS("DROP TEMPORARY TABLE t", TEMPORARY_TABLE, TEMPORARY_TABLE),
	    IS("CREATE DEFINER=`a`@`b` PROCEDURE p() SELECT 1", DDL, DDL),
	    BINDS("CREATE PROCEDURE p() BEGIN SET @x = 1; END", DDL, DDL, COMPOUND),
	    IS("ALTER TABLE t ADD b INT", DDL, DDL),
	    IS("TRUNCATE t", DDL, DDL),
	    IS("DROP TABLE t", DDL, DDL),
	    IS("GRANT SELECT ON a.* TO x@localhost", DDL, DDL),
	    IS("ANALYZE TABLE t", DDL, ADMINISTRATION),
	    BINDS("LOCK TABLES t WRITE", LOCK_TABLES, LOCK_TABLES, LOCK_TABLES),
	    IS("UNLOCK TABLES", UNLOCK_TABLES, LOCK_TABLES),
	    BINDS("FLUSH TABLES WITH READ LOCK", FLUSH, FLUSH, GLOBAL_READ_LOCK),
	    BINDS("FLUSH TABLES t FOR EXPORT", FLUSH, FLUSH, GLOBAL_READ_LOCK),
	    IS("FLUSH PRIVILEGES", FLUSH, FLUSH),
	    BINDS("BACKUP STAGE START", OTHER, GLOBAL_READ_LOCK, GLOBAL_READ_LOCK),
	    BINDS("PREPARE s FROM 'SELECT 1'", PREPARE, TEXT_PREPARE, TEXT_PREPARE),
	    BINDS("EXECUTE s", PREPARE, TEXT_PREPARE, TEXT_PREPARE),
	    IS("DEALLOCATE PREPARE s", PREPARE, TEXT_PREPARE),
	    BINDS("CALL p(1)", CALL, CALL, CALL),
	    IS("DO SLEEP(0)", DO, DO),
	    BINDS("DO GET_LOCK('a', 0)", DO, DO, USER_LOCK),
	    BINDS("HANDLER t OPEN", HANDLER, HANDLER, HANDLER),
	    IS("KILL 5", KILL, KILL),
	    BINDS("XA START 'a'", XA, XA, XA),
	    IS("XA RECOVER", XA, XA),
	    BINDS("GET DIAGNOSTICS @n = NUMBER", OTHER, USER_VARIABLE_SET, USER_VARIABLE_SET),
	    BINDS("IF 1 THEN SELECT 1; END IF", OTHER, COMPOUND, COMPOUND),
	    IS("SHUTDOWN", OTHER, ADMINISTRATION),
	    BINDS("FROBNICATE t", OTHER, UNKNOWN, UNKNOWN),
	    IS("", EMPTY, EMPTY),
	    IS(" /* only */ -- this", EMPTY, EMPTY),
	    IS("SET STATEMENT max_statement_time=5 FOR SELECT 1", READ, SET_SPECIAL),
	    BINDS("SET STATEMENT max_statement_time=5 FOR CALL p()", CALL, SET_SPECIAL, CALL),
	};
	check_table(table, COUNT_OF(table));
}

static void several_statements(void **state)
{
	(void)state;
	static const struct expectation table[] = {
	    IS("SELECT 1; SELECT 2", MANY, MANY),
	    IS("SELECT 1;; DELETE FROM t;", MANY, MANY),
	    IS("BEGIN; SELECT 1; COMMIT", MANY, MANY),
	    BINDS("SELECT 1; SET sql_mode = ''", MANY, MANY, MANY_WITH_STATE),
	    BINDS("SELECT 1; USE db", MANY, MANY, MANY_WITH_STATE),
	    BINDS("SELECT 1; SET @x = 1; SELECT 2", MANY, MANY, USER_VARIABLE_SET),
	    BINDS("CREATE TEMPORARY TABLE t (a INT); SELECT 1", MANY, MANY, TEMPORARY_TABLE),
	    {"SELECT 'a\\'; DELETE FROM t; -- '", SQL_KIND_MANY, SQL_ROUTE_PRIMARY, SQL_REASON_MANY, SQL_REASON_NONE,
	     SQL_NO_BACKSLASH_ESCAPES},
	    READS("SELECT 'a\\'; DELETE FROM t; -- '"),
	    {"SELECT 1; SELECT 'x", SQL_KIND_MANY, SQL_ROUTE_PRIMARY, SQL_REASON_BROKEN, SQL_REASON_BROKEN, 0},
	};
	check_table(table, COUNT_OF(table));
}

static void doubtful_texts(void **state)
{
	(void)state;
	static const struct expectation table[] = {
	    BROKEN("SELECT 'abc"),
	    BROKEN("SELECT \"abc"),
	    BROKEN("SELECT `abc"),
	    BROKEN("SELECT 1 /* never ends"),
	    BROKEN("SELECT 1 /*!40000 never ends"),
	    BROKEN("SELECT 'abc\\"),
	    BROKEN("SELECT \x01"),
	    BROKEN("SELECT * FROM t FOR\xA0UPDATE"),
	    BROKEN("SELECT * FROM t FOR \xA0UPDATE"),
	    BROKEN("SELECT $$ ' $$"),
	    BROKEN("SELECT @@`a"),
	    BROKEN("SELECT /*!40000 1 /*!40001 2 */ */"),
	    BINDS("/*!99999 SELECT */ COMMIT", OTHER, VERSION_COMMENT, VERSION_COMMENT),
	    BINDS("SELECT 1 /*!80000 + 1 */", OTHER, VERSION_COMMENT, VERSION_COMMENT),
	    BINDS("SELECT 1 /*M! + 1 */", OTHER, VERSION_COMMENT, VERSION_COMMENT),
	    BINDS("SELECT 1 /*M!100100 + 1 */", OTHER, VERSION_COMMENT, VERSION_COMMENT),
	    BINDS("/*!50700 SET sql_mode = '' */", OTHER, VERSION_COMMENT, VERSION_COMMENT),
	    {"SELECT '\xB5\\'", SQL_KIND_OTHER, SQL_ROUTE_PRIMARY, SQL_REASON_BROKEN, SQL_REASON_BROKEN, SQL_UNSAFE_CHARSET},
	    {"SELECT '\xB5\\' OR 'x'", SQL_KIND_OTHER, SQL_ROUTE_PRIMARY, SQL_REASON_BROKEN, SQL_REASON_BROKEN, SQL_UNSAFE_CHARSET},
	    {"SELECT '\xB5x'", SQL_KIND_OTHER, SQL_ROUTE_PRIMARY, SQL_REASON_CHARSET, SQL_REASON_CHARSET, SQL_UNSAFE_CHARSET},
	};
	check_table(table, COUNT_OF(table));
	/* A zero byte inside. */
	struct sql_class class;
	sql_classify(span_of("SELECT 1\0; DELETE", 17), 0, &class);
	assert_int_equal(class.reason, SQL_REASON_BROKEN);
}

static void sets(void **state)
{
	(void)state;
	static const struct expectation table[] = {
	    IS("SET NAMES utf8mb4", SET_SESSION, SESSION_SETTING),
	    IS("SET NAMES 'utf8mb4' COLLATE 'utf8mb4_unicode_ci'", SET_SESSION, SESSION_SETTING),
	    IS("SET CHARACTER SET utf8", SET_SESSION, SESSION_SETTING),
	    IS("SET SESSION sql_mode='ANSI,STRICT_TRANS_TABLES'", SET_SESSION, SESSION_SETTING),
	    IS("SET @@session.wait_timeout = 600, @@local.time_zone := '+00:00';", SET_SESSION, SESSION_SETTING),
	    IS("SET sql_mode = DEFAULT", SET_SESSION, SESSION_SETTING),
	    IS("SET foreign_key_checks = 0, unique_checks = OFF", SET_SESSION, SESSION_SETTING),
	    IS("set a = -1", SET_SESSION, SESSION_SETTING),
	    IS("/*!40101 SET NAMES utf8 */", SET_SESSION, SESSION_SETTING),
	    IS("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", SET_SESSION, SESSION_SETTING),
	    IS("SET transaction_isolation = 'READ-COMMITTED'", SET_SESSION, SESSION_SETTING),
	    IS("SET autocommit=0", SET_AUTOCOMMIT, SESSION_SETTING),
	    IS("SET @@session.autocommit = ON", SET_AUTOCOMMIT, SESSION_SETTING),
	    IS("SET autocommit=1, sql_mode=''", SET_SESSION, SESSION_SETTING),
	    IS("SET GLOBAL max_connections = 5", SET_OTHER, SET_GLOBAL),
	    IS("SET @@global.a = 5, @@persist.b = 6", SET_OTHER, SET_GLOBAL),
	    IS("SET GLOBAL a = 5, b = 6", SET_OTHER, SET_GLOBAL),
	    BINDS("SET GLOBAL a = 5, SESSION b = 6", SET_OTHER, SET_SPECIAL, SET_SPECIAL),
	    BINDS("SET @x = 1", SET_OTHER, USER_VARIABLE_SET, USER_VARIABLE_SET),
	    BINDS("SET NAMES utf8, @x = (1, 2)", SET_OTHER, USER_VARIABLE_SET, USER_VARIABLE_SET),
	    BINDS("/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */", SET_OTHER, USER_VARIABLE_SET,
	          USER_VARIABLE_SET),
	    BINDS("SET sql_mode = CONCAT(@@sql_mode, ',ANSI')", SET_OTHER, SET_EXPRESSION, SET_EXPRESSION),
	    BINDS("SET sql_mode = (SELECT 1), a = 2", SET_OTHER, SET_EXPRESSION, SET_EXPRESSION),
	    BINDS("SET a = b + 1", SET_OTHER, SET_EXPRESSION, SET_EXPRESSION),
	    BINDS("SET a = ?", SET_OTHER, SET_EXPRESSION, SET_EXPRESSION),
	    BINDS("SET a = @x", SET_OTHER, SET_EXPRESSION, SET_EXPRESSION),
	    BINDS("SET autocommit = DEFAULT", SET_OTHER, SET_EXPRESSION, SET_EXPRESSION),
	    BINDS("SET timestamp = 5", SET_OTHER, SET_SPECIAL, SET_SPECIAL),
	    BINDS("SET SESSION sql_log_bin = 0", SET_OTHER, SET_SPECIAL, SET_SPECIAL),
	    BINDS("SET @@session.gtid_domain_id = 3", SET_OTHER, SET_SPECIAL, SET_SPECIAL),
	    BINDS("SET PASSWORD = 'x'", SET_OTHER, SET_SPECIAL, SET_SPECIAL),
	    BINDS("SET PASSWORD FOR a@b = PASSWORD('x')", SET_OTHER, SET_SPECIAL, SET_SPECIAL),
	    BINDS("SET ROLE r", SET_OTHER, SET_SPECIAL, SET_SPECIAL),
	    BINDS("SET DEFAULT ROLE r", SET_OTHER, SET_SPECIAL, SET_SPECIAL),
	    BINDS("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", SET_OTHER, SET_NEXT_TRANSACTION, SET_NEXT_TRANSACTION),
	    BINDS("SET @@transaction_isolation = 'SERIALIZABLE'", SET_OTHER, SET_NEXT_TRANSACTION, SET_NEXT_TRANSACTION),
	    IS("SET GLOBAL TRANSACTION READ ONLY", SET_OTHER, SET_GLOBAL),
	    BINDS("SET", SET_OTHER, SET_SPECIAL, SET_SPECIAL),
	    BINDS("SET a", SET_OTHER, SET_SPECIAL, SET_SPECIAL),
	    BINDS("SET a = ", SET_OTHER, SET_EXPRESSION, SET_EXPRESSION),
	    BINDS("SET a = 1,", SET_OTHER, SET_SPECIAL, SET_SPECIAL),
	    BINDS("/*!40101 SET a = 1, */ b = 2", SET_OTHER, SET_SPECIAL, SET_SPECIAL),
	    BINDS("SET a /*!40101 = 1 */", SET_OTHER, SET_SPECIAL, SET_SPECIAL),
	};
	check_table(table, COUNT_OF(table));
}

static void check_settings(const char *text, unsigned count, const char *const (*want)[3])
{
	struct sql_class class;
	sql_classify(span_of_text(text), 0, &class);
	struct sql_setting_walk walk = sql_settings_of(&class, 0);
	struct sql_setting setting;
	unsigned seen = 0;
	while (sql_setting_next(&walk, &setting)) {
		assert_true(seen < count);
		char line[3][200];
		assert_true(span_copy(setting.name, line[0], sizeof(line[0])));
		assert_true(span_copy(setting.value, line[1], sizeof(line[1])));
		assert_true(span_copy(setting.text, line[2], sizeof(line[2])));
		for (int i = 0; i < 3; i++)
			assert_string_equal(line[i], want[seen][i]);
		seen++;
	}
	assert_int_equal(seen, count);
}

static void settings_are_walked(void **state)
{
	(void)state;
	check_settings("SET NAMES utf8mb4 COLLATE utf8mb4_bin, @@session.`sql_mode` = 'a,b', LOCAL x := -5 ;", 3,
	               (const char *const[][3]){
	                   {"names", "utf8mb4 COLLATE utf8mb4_bin", "NAMES utf8mb4 COLLATE utf8mb4_bin"},
	                   {"sql_mode", "'a,b'", "@@session.`sql_mode` = 'a,b'"},
	                   {"x", "-5", "x := -5"},
	               });
	check_settings("/*!40101 SET character set latin1 */;", 1,
	               (const char *const[][3]){{"character set", "latin1", "character set latin1"}});
	check_settings("SET LOCAL TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY", 1,
	               (const char *const[][3]){{"transaction", "ISOLATION LEVEL READ COMMITTED, READ ONLY",
	                                         "LOCAL TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY"}});
	check_settings("SET SESSION TRANSACTION READ ONLY", 1,
	               (const char *const[][3]){{"transaction access", "READ ONLY", "SESSION TRANSACTION READ ONLY"}});
	check_settings("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", 1,
	               (const char *const[][3]){{"transaction isolation", "ISOLATION LEVEL READ COMMITTED",
	                                         "SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"}});
	check_settings("SET @x = 1", 0, NULL);
	check_settings("SELECT 1", 0, NULL);

	struct sql_class class;
	sql_classify(SPAN("SET @@autocommit = OFF, sql_mode=''"), 0, &class);
	assert_int_equal(class.autocommit, 0);
	sql_classify(SPAN("SET autocommit = 1"), 0, &class);
	assert_int_equal(class.autocommit, 1);
	sql_classify(SPAN("SET sql_mode=''"), 0, &class);
	assert_int_equal(class.autocommit, -1);
}

static void details(void **state)
{
	(void)state;
	struct sql_class class;
	char name[80];
	sql_classify(SPAN("use `my``db` ;"), 0, &class);
	assert_true(sql_name_copy(class.database, name, sizeof(name)));
	assert_string_equal(name, "my`db");
	assert_false(sql_name_copy(class.database, name, 5));
	assert_string_equal(name, "");
	sql_classify(SPAN("USE db"), 0, &class);
	assert_true(sql_name_copy(class.database, name, 3));
	assert_string_equal(name, "db");

	sql_classify(SPAN("KILL HARD QUERY 1234"), 0, &class);
	assert_int_equal(class.number, 1234);
	sql_classify(SPAN("KILL 1 + 1"), 0, &class);
	assert_int_equal(class.number, 0);
	sql_classify(SPAN("START TRANSACTION READ ONLY"), 0, &class);
	assert_true(class.read_only);
	sql_classify(SPAN("START TRANSACTION READ WRITE"), 0, &class);
	assert_false(class.read_only);
	sql_classify(SPAN("UNLOCK TABLES"), 0, &class);
	assert_int_equal(class.releases, SQL_REASON_LOCK_TABLES);

	assert_true(sql_database_is_system(SPAN("MySQL")));
	assert_true(sql_database_is_system(SPAN("`information_schema`")));
	assert_false(sql_database_is_system(SPAN("mysql2")));
	assert_true(sql_charset_is_unsafe(SPAN("GBK")));
	assert_true(sql_charset_is_unsafe(SPAN("'gbk'")));
	assert_true(sql_charset_is_unsafe(SPAN("gbk/**/COLLATE gbk_bin")));
	assert_true(sql_charset_is_unsafe(SPAN("28")));
	assert_true(sql_charset_is_unsafe(SPAN("x'67626b'")));
	assert_true(sql_charset_is_unsafe(SPAN("DEFAULT")));
	assert_false(sql_charset_is_unsafe(SPAN("utf8mb4")));
	assert_false(sql_charset_is_unsafe(SPAN("'UTF8MB4' COLLATE utf8mb4_bin")));

	/* What may run anywhere does not hide what may not. */
	sql_classify(SPAN("SELECT @@version, f()"), 0, &class);
	assert_int_equal(class.reason, SQL_REASON_UNKNOWN_FUNCTION);
	sql_classify(SPAN("SELECT VERSION() FROM mysql.user INTO OUTFILE 'x'"), 0, &class);
	assert_int_equal(class.reason, SQL_REASON_INTO);
	sql_classify(SPAN("SELECT @@version, NEXTVAL(s), VERSION()"), 0, &class);
	assert_int_equal(class.reason, SQL_REASON_SEQUENCE);

	sql_classify(SPAN("INSERT INTO t VALUES (LAST_INSERT_ID( ))"), 0, &class);
	assert_true(class.asks_insert_id);
	sql_classify(SPAN("SELECT @@session.identity"), 0, &class);
	assert_true(class.asks_insert_id);
	sql_classify(SPAN("UPDATE t SET a = LAST_INSERT_ID(a + 1)"), 0, &class);
	assert_false(class.asks_insert_id);
	for (int i = 0; i < SQL_REASON_COUNT; i++)
		assert_true(strlen(sql_reason_text((enum sql_reason)i)) > 0);
}

/* Every beginning of a text, right before a page that cannot be read. */
static void nothing_is_read_past_the_end(void **state)
{
	(void)state;
	static const char *const texts[] = {
	    "SELECT /*!40001 a */ 'x\\'y', \"b\", `c`, @d, @@e.f, @`g`, 0x1F, N'h', ? -- i\n, j /* k */ := 5 # l",
	    "SET NAMES utf8, @@session.sql_mode = 'a', LOCAL TRANSACTION READ ONLY; USE `b`; KILL 5; FLUSH x",
	    "WITH a(b) AS (SELECT count (1)) INSERT INTO information_schema.`columns` VALUES (1) /*M!1*/ \\",
	};
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		for (size_t size = 0; size <= strlen(texts[i]); size++) {
			const char *text = edge_copy(texts[i], size);
			for (unsigned mode = 0; mode < 16; mode++) {
				struct sql_class class;
				struct sql_setting setting;
				sql_classify(span_of(text, size), mode, &class);
				struct sql_setting_walk walk = sql_settings_of(&class, mode);
				while (sql_setting_next(&walk, &setting))
					assert_true(setting.text.start >= text && setting.text.start + setting.text.size <= text + size);
			}
		}
	}
}

/* 16 MB of one string, of quotes, of parentheses, of words: classified in one pass, and correctly at the far end. */
static void large_texts(void **state)
{
	(void)state;
	size_t size = 16u << 20;
	char *text = malloc(size);
	static const char fillers[] = {'x', '\'', '(', ' ', '\\', ';', '/', '@'};
	for (size_t i = 0; i < sizeof(fillers); i++) {
		struct sql_class class;
		memset(text, fillers[i], size);
		memcpy(text, "SELECT '", 8);
		text[size - 1] = '\'';
		sql_classify(span_of(text, size), 0, &class);
		assert_true(class.kind == SQL_KIND_READ || class.reason == SQL_REASON_BROKEN);
		memset(text, fillers[i], size);
		memcpy(text, "INSERT INTO t SELECT ", 21);
		memcpy(text + size - 7, " @a:=1 ", 7);
		sql_classify(span_of(text, size), 0, &class);
		assert_int_equal(class.route, SQL_ROUTE_PRIMARY);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_go_anywhere),
	    cmocka_unit_test(other_reads_do_not),
	    cmocka_unit_test(writes_and_the_rest),
	    cmocka_unit_test(several_statements),
	    cmocka_unit_test(doubtful_texts),
	    cmocka_unit_test(sets),
	    cmocka_unit_test(settings_are_walked),
	    cmocka_unit_test(details),
	    cmocka_unit_test(nothing_is_read_past_the_end),
	    cmocka_unit_test(large_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

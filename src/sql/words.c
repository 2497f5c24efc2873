/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The table of SQL words: which function calls are certainly reads is decided here, and only here. A function that is missing
 * costs a read on the primary; one that is wrongly marked as a read costs a wrong answer, so in doubt leave it out.
 * Called by the lexer for every word, in traffic threads.
 */
#include "sql/words.h"

#include <pthread.h>
#include <stdatomic.h>

#define W(text, word, what)                                      \
	{                                                            \
		text, sizeof(text) - 1, SQL_WORD_##word, SQL_CALL_##what \
	}

/* In alphabetical order; the two columns are independent: what the word steers, and what `word(` is. */
/* clang-format off */
static const struct sql_word words[] = {
	W("abs", NONE, READ), W("acos", NONE, READ), W("add_months", NONE, READ), W("adddate", NONE, READ_TIGHT),
	W("addtime", NONE, READ), W("aes_decrypt", NONE, READ), W("aes_encrypt", NONE, READ), W("against", NONE, NONE),
	W("all", NONE, NONE), W("alter", ALTER, UNKNOWN), W("analyze", ANALYZE, UNKNOWN), W("and", AND, NONE),
	W("any", NONE, NONE), W("any_value", NONE, READ), W("array", NONE, NONE), W("as", AS, NONE), W("ascii", NONE, READ),
	W("asin", NONE, READ), W("atan", NONE, READ), W("atan2", NONE, READ), W("avg", NONE, READ), W("backup", BACKUP, UNKNOWN),
	W("begin", BEGIN, UNKNOWN), W("benchmark", NONE, SERVER), W("between", NONE, NONE), W("bigint", NONE, NONE),
	W("bin", NONE, READ), W("bin_to_uuid", NONE, READ), W("binary", NONE, NONE), W("binlog", BINLOG, UNKNOWN),
	W("binlog_gtid_pos", NONE, SERVER), W("bit_and", NONE, READ_TIGHT), W("bit_count", NONE, READ),
	W("bit_length", NONE, READ), W("bit_or", NONE, READ_TIGHT), W("bit_xor", NONE, READ_TIGHT), W("by", NONE, NONE),
	W("cache", CACHE, UNKNOWN), W("call", CALL, UNKNOWN), W("case", CASE, NONE), W("cast", NONE, READ_TIGHT),
	W("ceil", NONE, READ), W("ceiling", NONE, READ), W("change", CHANGE, UNKNOWN), W("char", NONE, READ),
	W("char_length", NONE, READ), W("character", CHARACTER, UNKNOWN), W("character_length", NONE, READ),
	W("charset", CHARSET, READ), W("check", CHECK, UNKNOWN), W("checksum", CHECKSUM, UNKNOWN), W("chr", NONE, READ),
	W("clone", CLONE, UNKNOWN), W("coalesce", NONE, READ), W("coercibility", NONE, READ), W("collate", COLLATE, NONE),
	W("collation", COLLATION, READ), W("column_add", NONE, READ), W("column_check", NONE, READ),
	W("column_create", NONE, READ), W("column_delete", NONE, READ), W("column_exists", NONE, READ),
	W("column_get", NONE, READ), W("column_json", NONE, READ), W("column_list", NONE, READ), W("columns", COLUMNS, NONE),
	W("commit", COMMIT, UNKNOWN), W("compress", NONE, READ), W("concat", NONE, READ), W("concat_ws", NONE, READ),
	W("connection", CONNECTION, UNKNOWN), W("connection_id", NONE, SERVER), W("conv", NONE, READ), W("convert", NONE, READ),
	W("convert_tz", NONE, READ), W("cos", NONE, READ), W("cot", NONE, READ), W("count", COUNT, READ_TIGHT),
	W("crc32", NONE, READ), W("crc32c", NONE, READ), W("create", CREATE, UNKNOWN), W("cross", NONE, NONE),
	W("cume_dist", NONE, READ), W("curdate", NONE, READ_TIGHT), W("current_date", NONE, READ), W("current_role", NONE, READ),
	W("current_time", NONE, READ), W("current_timestamp", NONE, READ), W("current_user", NONE, READ),
	W("currval", CURRVAL, SEQUENCE), W("curtime", NONE, READ_TIGHT), W("data", DATA, UNKNOWN), W("database", DATABASE, READ),
	W("databases", DATABASES, UNKNOWN), W("date", NONE, READ), W("date_add", NONE, READ_TIGHT), W("date_format", NONE, READ),
	W("date_sub", NONE, READ_TIGHT), W("datediff", NONE, READ), W("datetime", NONE, READ), W("day", NONE, READ),
	W("dayname", NONE, READ), W("dayofmonth", NONE, READ), W("dayofweek", NONE, READ), W("dayofyear", NONE, READ),
	W("deallocate", DEALLOCATE, UNKNOWN), W("dec", NONE, NONE), W("decimal", NONE, NONE), W("declare", DECLARE, UNKNOWN),
	W("decode", NONE, READ), W("decode_oracle", NONE, READ), W("default", DEFAULT, READ), W("degrees", NONE, READ),
	W("delete", DELETE, UNKNOWN), W("dense_rank", NONE, READ), W("desc", DESC, UNKNOWN), W("describe", DESCRIBE, UNKNOWN),
	W("distinct", NONE, NONE), W("distinctrow", NONE, NONE), W("div", NONE, NONE), W("do", DO, UNKNOWN),
	W("double", NONE, NONE), W("drop", DROP, UNKNOWN), W("else", NONE, NONE), W("elt", NONE, READ), W("encode", NONE, READ),
	W("encrypt", NONE, SERVER), W("errors", ERRORS, UNKNOWN), W("escape", NONE, NONE), W("event", EVENT, UNKNOWN),
	W("except", NONE, NONE), W("execute", EXECUTE, UNKNOWN), W("exists", NONE, NONE), W("exp", NONE, READ),
	W("explain", EXPLAIN, UNKNOWN), W("export", EXPORT, UNKNOWN), W("export_set", NONE, READ),
	W("extended", EXTENDED, UNKNOWN), W("extract", NONE, READ_TIGHT), W("extractvalue", NONE, READ),
	W("false", FALSE, UNKNOWN), W("field", NONE, READ), W("fields", FIELDS, UNKNOWN), W("find_in_set", NONE, READ),
	W("first_value", NONE, READ), W("fixed", NONE, NONE), W("float", NONE, NONE), W("float4", NONE, NONE),
	W("float8", NONE, NONE), W("floor", NONE, READ), W("flush", FLUSH, UNKNOWN), W("for", FOR, NONE), W("force", NONE, NONE),
	W("format", FORMAT, READ), W("format_bytes", NONE, READ), W("format_pico_time", NONE, READ),
	W("found_rows", NONE, LAST_STATEMENT), W("from", FROM, NONE), W("from_base64", NONE, READ), W("from_days", NONE, READ),
	W("from_unixtime", NONE, READ), W("full", FULL, UNKNOWN), W("function", FUNCTION, UNKNOWN),
	W("geometrycollection", NONE, READ), W("get", GET, UNKNOWN), W("get_format", NONE, READ), W("get_lock", NONE, LOCK),
	W("global", GLOBAL, UNKNOWN), W("grant", GRANT, UNKNOWN), W("greatest", NONE, READ), W("group", NONE, NONE),
	W("group_concat", NONE, READ_TIGHT),
	W("grouping", NONE, READ), W("gtid_subset", NONE, READ), W("gtid_subtract", NONE, READ), W("handler", HANDLER, UNKNOWN),
	W("hard", HARD, UNKNOWN), W("having", NONE, NONE), W("help", HELP, UNKNOWN), W("hex", NONE, READ), W("hour", NONE, READ),
	W("icu_version", NONE, SERVER), W("id", ID, UNKNOWN), W("if", IF, READ), W("ifnull", NONE, READ), W("ignore", NONE, NONE),
	W("import", IMPORT, UNKNOWN), W("in", IN, NONE), W("index", INDEX, NONE), W("indexes", INDEXES, UNKNOWN),
	W("inet6_aton", NONE, READ), W("inet6_ntoa", NONE, READ), W("inet_aton", NONE, READ), W("inet_ntoa", NONE, READ),
	W("information_schema", INFORMATION_SCHEMA, UNKNOWN), W("insert", INSERT, READ), W("install", INSTALL, UNKNOWN),
	W("instance", INSTANCE, UNKNOWN), W("instr", NONE, READ), W("int", NONE, NONE), W("integer", NONE, NONE),
	W("intersect", NONE, NONE), W("interval", NONE, NONE), W("into", INTO, UNKNOWN), W("is_free_lock", NONE, LOCK_INFO),
	W("is_ipv4", NONE, READ), W("is_ipv4_compat", NONE, READ), W("is_ipv4_mapped", NONE, READ), W("is_ipv6", NONE, READ),
	W("is_used_lock", NONE, LOCK_INFO), W("is_uuid", NONE, READ), W("isnull", NONE, READ), W("join", NONE, NONE),
	W("json_array", NONE, READ), W("json_array_append", NONE, READ), W("json_array_insert", NONE, READ),
	W("json_array_intersect", NONE, READ), W("json_arrayagg", NONE, READ), W("json_compact", NONE, READ),
	W("json_contains", NONE, READ), W("json_contains_path", NONE, READ), W("json_depth", NONE, READ),
	W("json_detailed", NONE, READ), W("json_equals", NONE, READ), W("json_exists", NONE, READ), W("json_extract", NONE, READ),
	W("json_insert", NONE, READ), W("json_key_value", NONE, READ), W("json_keys", NONE, READ), W("json_length", NONE, READ),
	W("json_loose", NONE, READ), W("json_merge", NONE, READ), W("json_merge_patch", NONE, READ),
	W("json_merge_preserve", NONE, READ), W("json_normalize", NONE, READ), W("json_object", NONE, READ),
	W("json_object_filter_keys", NONE, READ), W("json_object_to_array", NONE, READ), W("json_objectagg", NONE, READ),
	W("json_overlaps", NONE, READ), W("json_pretty", NONE, READ), W("json_query", NONE, READ), W("json_quote", NONE, READ),
	W("json_remove", NONE, READ), W("json_replace", NONE, READ), W("json_schema_valid", NONE, READ),
	W("json_search", NONE, READ), W("json_set", NONE, READ), W("json_storage_size", NONE, READ), W("json_table", NONE, READ),
	W("json_type", NONE, READ), W("json_unquote", NONE, READ), W("json_valid", NONE, READ), W("json_value", NONE, READ),
	W("kdf", NONE, READ), W("key", NONE, NONE), W("keys", KEYS, NONE), W("kill", KILL, UNKNOWN), W("lag", NONE, READ),
	W("last_day", NONE, READ), W("last_insert_id", NONE, LAST_INSERT_ID), W("last_value", NONE, READ),
	W("lastval", LASTVAL, SEQUENCE), W("lateral", NONE, NONE), W("lcase", NONE, READ), W("lead", NONE, READ),
	W("least", NONE, READ), W("left", NONE, READ), W("length", NONE, READ), W("lengthb", NONE, READ), W("like", NONE, NONE),
	W("limit", NONE, NONE), W("linestring", NONE, READ), W("ln", NONE, READ), W("load", LOAD, UNKNOWN),
	W("load_file", NONE, SERVER), W("local", LOCAL, UNKNOWN), W("localtime", NONE, READ), W("localtimestamp", NONE, READ),
	W("locate", NONE, READ), W("lock", LOCK, UNKNOWN), W("log", NONE, READ), W("log10", NONE, READ), W("log2", NONE, READ),
	W("loop", LOOP, UNKNOWN), W("lower", NONE, READ), W("lpad", NONE, READ), W("ltrim", NONE, READ),
	W("make_set", NONE, READ), W("makedate", NONE, READ), W("maketime", NONE, READ), W("master_gtid_wait", NONE, SERVER),
	W("master_pos_wait", NONE, SERVER), W("match", NONE, NONE), W("max", NONE, READ_TIGHT), W("mbrcontains", NONE, READ),
	W("mbrcoveredby", NONE, READ), W("mbrcovers", NONE, READ), W("mbrdisjoint", NONE, READ), W("mbrequal", NONE, READ),
	W("mbrequals", NONE, READ), W("mbrintersects", NONE, READ), W("mbroverlaps", NONE, READ), W("mbrtouches", NONE, READ),
	W("mbrwithin", NONE, READ), W("md5", NONE, READ), W("median", NONE, READ), W("mediumint", NONE, NONE),
	W("merge", MERGE, UNKNOWN), W("microsecond", NONE, READ), W("mid", NONE, READ_TIGHT), W("min", NONE, READ_TIGHT),
	W("minus", NONE, NONE), W("minute", NONE, READ), W("mod", NONE, READ), W("month", NONE, READ), W("monthname", NONE, READ),
	W("multilinestring", NONE, READ), W("multipoint", NONE, READ), W("multipolygon", NONE, READ), W("mysql", MYSQL, UNKNOWN),
	W("name_const", NONE, READ), W("names", NAMES, UNKNOWN), W("natural_sort_key", NONE, READ), W("nchar", NONE, NONE),
	W("nested", NONE, NONE), W("next", NEXT, UNKNOWN), W("nextval", NEXTVAL, SEQUENCE), W("not", NONE, NONE),
	W("now", NONE, READ_TIGHT), W("nth_value", NONE, READ), W("ntile", NONE, READ), W("nullif", NONE, READ),
	W("number", NONE, NONE), W("numeric", NONE, NONE), W("nvarchar", NONE, NONE), W("nvl", NONE, READ), W("nvl2", NONE, READ),
	W("oct", NONE, READ), W("octet_length", NONE, READ), W("of", NONE, NONE), W("off", OFF, UNKNOWN), W("offset", NONE, NONE),
	W("offsets", NONE, NONE), W("on", ON, NONE), W("only", ONLY, UNKNOWN), W("optimize", OPTIMIZE, UNKNOWN),
	W("or", NONE, NONE), W("ord", NONE, READ), W("over", NONE, NONE), W("package", PACKAGE, UNKNOWN),
	W("partition", NONE, NONE), W("partitions", PARTITIONS, UNKNOWN), W("password", PASSWORD, READ), W("path", NONE, NONE),
	W("percent_rank", NONE, READ), W("percentile_cont", NONE, READ), W("percentile_disc", NONE, READ),
	W("performance_schema", PERFORMANCE_SCHEMA, UNKNOWN), W("period_add", NONE, READ), W("period_diff", NONE, READ),
	W("persist", PERSIST, UNKNOWN), W("persist_only", PERSIST_ONLY, UNKNOWN), W("pi", NONE, READ), W("point", NONE, READ),
	W("polygon", NONE, READ), W("position", NONE, READ_TIGHT), W("pow", NONE, READ), W("power", NONE, READ),
	W("prepare", PREPARE, UNKNOWN), W("previous", PREVIOUS, UNKNOWN), W("procedure", PROCEDURE, UNKNOWN),
	W("ps_current_thread_id", NONE, SERVER), W("ps_thread_id", NONE, SERVER), W("purge", PURGE, UNKNOWN),
	W("quarter", NONE, READ), W("query", QUERY, UNKNOWN), W("quote", NONE, READ), W("radians", NONE, READ),
	W("rand", NONE, READ), W("random_bytes", NONE, READ), W("rank", NONE, READ), W("read", READ, UNKNOWN),
	W("real", NONE, NONE), W("recover", RECOVER, UNKNOWN), W("recursive", RECURSIVE, UNKNOWN), W("regexp", NONE, NONE),
	W("regexp_instr", NONE, READ), W("regexp_like", NONE, READ), W("regexp_replace", NONE, READ),
	W("regexp_substr", NONE, READ), W("release", RELEASE, UNKNOWN), W("release_all_locks", NONE, LOCK_INFO),
	W("release_lock", NONE, LOCK_INFO), W("rename", RENAME, UNKNOWN), W("repair", REPAIR, UNKNOWN), W("repeat", REPEAT, READ),
	W("replace", REPLACE, READ), W("reset", RESET, UNKNOWN), W("resignal", RESIGNAL, UNKNOWN),
	W("resource", RESOURCE, UNKNOWN), W("restart", RESTART, UNKNOWN), W("reverse", NONE, READ), W("revoke", REVOKE, UNKNOWN),
	W("right", NONE, READ), W("rlike", NONE, NONE), W("role", ROLE, UNKNOWN), W("rollback", ROLLBACK, UNKNOWN),
	W("rollup", NONE, NONE), W("round", NONE, READ), W("row", NONE, NONE), W("row_count", NONE, LAST_STATEMENT),
	W("row_number", NONE, READ), W("rpad", NONE, READ), W("rtrim", NONE, READ), W("savepoint", SAVEPOINT, UNKNOWN),
	W("schema", SCHEMA, READ), W("schemas", SCHEMAS, UNKNOWN), W("sec_to_time", NONE, READ), W("second", NONE, READ),
	W("select", SELECT, NONE), W("sequence", SEQUENCE, UNKNOWN), W("session", SESSION, UNKNOWN),
	W("session_user", NONE, READ_TIGHT), W("set", SET, UNKNOWN), W("setval", SETVAL, SEQUENCE), W("sformat", NONE, READ),
	W("sha", NONE, READ), W("sha1", NONE, READ), W("sha2", NONE, READ), W("share", SHARE, UNKNOWN), W("show", SHOW, UNKNOWN),
	W("shutdown", SHUTDOWN, UNKNOWN), W("sign", NONE, READ), W("signal", SIGNAL, UNKNOWN), W("signed", NONE, NONE),
	W("sin", NONE, READ), W("sleep", NONE, READ), W("smallint", NONE, NONE), W("soft", SOFT, UNKNOWN), W("some", NONE, NONE),
	W("soundex", NONE, READ), W("source_pos_wait", NONE, SERVER), W("space", NONE, READ),
	W("sql_calc_found_rows", SQL_CALC_FOUND_ROWS, UNKNOWN), W("sqrt", NONE, READ), W("st_area", NONE, READ),
	W("st_asbinary", NONE, READ), W("st_asgeojson", NONE, READ), W("st_astext", NONE, READ), W("st_aswkb", NONE, READ),
	W("st_aswkt", NONE, READ), W("st_boundary", NONE, READ), W("st_buffer", NONE, READ), W("st_centroid", NONE, READ),
	W("st_collect", NONE, READ), W("st_contains", NONE, READ), W("st_convexhull", NONE, READ), W("st_crosses", NONE, READ),
	W("st_difference", NONE, READ), W("st_dimension", NONE, READ), W("st_disjoint", NONE, READ), W("st_distance", NONE, READ),
	W("st_distance_sphere", NONE, READ), W("st_endpoint", NONE, READ), W("st_envelope", NONE, READ),
	W("st_equals", NONE, READ), W("st_exteriorring", NONE, READ), W("st_geohash", NONE, READ),
	W("st_geomcollfromtext", NONE, READ), W("st_geomcollfromwkb", NONE, READ), W("st_geometryfromtext", NONE, READ),
	W("st_geometryfromwkb", NONE, READ), W("st_geometryn", NONE, READ), W("st_geometrytype", NONE, READ),
	W("st_geomfromgeojson", NONE, READ), W("st_geomfromtext", NONE, READ), W("st_geomfromwkb", NONE, READ),
	W("st_interiorringn", NONE, READ), W("st_intersection", NONE, READ), W("st_intersects", NONE, READ),
	W("st_isclosed", NONE, READ), W("st_isempty", NONE, READ), W("st_isring", NONE, READ), W("st_issimple", NONE, READ),
	W("st_isvalid", NONE, READ), W("st_latfromgeohash", NONE, READ), W("st_latitude", NONE, READ), W("st_length", NONE, READ),
	W("st_linefromtext", NONE, READ), W("st_linefromwkb", NONE, READ), W("st_linestringfromtext", NONE, READ),
	W("st_linestringfromwkb", NONE, READ), W("st_longfromgeohash", NONE, READ), W("st_longitude", NONE, READ),
	W("st_makeenvelope", NONE, READ), W("st_mpointfromtext", NONE, READ), W("st_mpolyfromtext", NONE, READ),
	W("st_numgeometries", NONE, READ), W("st_numinteriorring", NONE, READ), W("st_numinteriorrings", NONE, READ),
	W("st_numpoints", NONE, READ), W("st_overlaps", NONE, READ), W("st_pointfromgeohash", NONE, READ),
	W("st_pointfromtext", NONE, READ), W("st_pointfromwkb", NONE, READ), W("st_pointn", NONE, READ),
	W("st_pointonsurface", NONE, READ), W("st_polyfromtext", NONE, READ), W("st_polyfromwkb", NONE, READ),
	W("st_polygonfromtext", NONE, READ), W("st_polygonfromwkb", NONE, READ), W("st_relate", NONE, READ),
	W("st_simplify", NONE, READ), W("st_srid", NONE, READ), W("st_startpoint", NONE, READ), W("st_swapxy", NONE, READ),
	W("st_symdifference", NONE, READ), W("st_touches", NONE, READ), W("st_transform", NONE, READ), W("st_union", NONE, READ),
	W("st_validate", NONE, READ), W("st_within", NONE, READ), W("st_x", NONE, READ), W("st_y", NONE, READ),
	W("start", START, UNKNOWN), W("statement", STATEMENT, UNKNOWN), W("statement_digest", NONE, READ),
	W("statement_digest_text", NONE, READ), W("std", NONE, READ_TIGHT), W("stddev", NONE, READ_TIGHT),
	W("stddev_pop", NONE, READ_TIGHT), W("stddev_samp", NONE, READ_TIGHT), W("stop", STOP, UNKNOWN),
	W("str_to_date", NONE, READ), W("straight_join", NONE, NONE), W("strcmp", NONE, READ), W("subdate", NONE, READ_TIGHT),
	W("substr", NONE, READ_TIGHT), W("substring", NONE, READ_TIGHT), W("substring_index", NONE, READ),
	W("subtime", NONE, READ), W("sum", NONE, READ_TIGHT), W("sys", SYS, UNKNOWN), W("sys_guid", NONE, SERVER),
	W("sysdate", NONE, READ_TIGHT), W("system_user", NONE, READ_TIGHT), W("table", TABLE, NONE), W("tables", TABLES, UNKNOWN),
	W("tan", NONE, READ), W("temporary", TEMPORARY, UNKNOWN), W("then", NONE, NONE), W("time", NONE, READ),
	W("time_format", NONE, READ), W("time_to_sec", NONE, READ), W("timediff", NONE, READ), W("timestamp", NONE, READ),
	W("timestampadd", NONE, READ), W("timestampdiff", NONE, READ), W("tinyint", NONE, NONE), W("to_base64", NONE, READ),
	W("to_char", NONE, READ), W("to_date", NONE, READ), W("to_days", NONE, READ), W("to_seconds", NONE, READ),
	W("transaction", TRANSACTION, UNKNOWN), W("trigger", TRIGGER, UNKNOWN), W("triggers", TRIGGERS, UNKNOWN),
	W("trim", NONE, READ_TIGHT), W("true", TRUE, UNKNOWN), W("truncate", TRUNCATE, READ), W("ucase", NONE, READ),
	W("uncompress", NONE, READ), W("uncompressed_length", NONE, READ), W("unhex", NONE, READ),
	W("uninstall", UNINSTALL, UNKNOWN), W("union", NONE, NONE), W("unix_timestamp", NONE, READ), W("unlock", UNLOCK, UNKNOWN),
	W("unsigned", NONE, NONE), W("update", UPDATE, UNKNOWN), W("updatexml", NONE, READ), W("upper", NONE, READ),
	W("use", USE, NONE), W("user", USER, READ), W("using", NONE, NONE), W("utc_date", NONE, READ), W("utc_time", NONE, READ),
	W("utc_timestamp", NONE, READ), W("uuid", NONE, READ), W("uuid_short", NONE, SERVER), W("uuid_to_bin", NONE, READ),
	W("uuid_v4", NONE, READ), W("uuid_v7", NONE, READ), W("value", VALUE, NONE), W("values", VALUES, NONE),
	W("var_pop", NONE, READ_TIGHT), W("var_samp", NONE, READ_TIGHT), W("varbinary", NONE, NONE), W("varchar", NONE, NONE),
	W("varchar2", NONE, NONE), W("variance", NONE, READ_TIGHT), W("version", NONE, SERVER), W("view", VIEW, UNKNOWN),
	W("wait_for_executed_gtid_set", NONE, SERVER), W("warnings", WARNINGS, UNKNOWN), W("week", NONE, READ),
	W("weekday", NONE, READ), W("weekofyear", NONE, READ), W("weight_string", NONE, READ), W("when", NONE, NONE),
	W("where", NONE, NONE), W("while", WHILE, UNKNOWN), W("window", NONE, NONE), W("with", WITH, NONE),
	W("work", WORK, UNKNOWN), W("xa", XA, UNKNOWN), W("xml", XML, UNKNOWN), W("xor", NONE, NONE), W("year", NONE, READ),
	W("yearweek", NONE, READ),
};
/* clang-format on */

#undef W

/* clang-format off */
const uint8_t sql_word_fold[256] = {
	['A'] = 'a', ['B'] = 'b', ['C'] = 'c', ['D'] = 'd', ['E'] = 'e', ['F'] = 'f', ['G'] = 'g', ['H'] = 'h', ['I'] = 'i',
	['J'] = 'j', ['K'] = 'k', ['L'] = 'l', ['M'] = 'm', ['N'] = 'n', ['O'] = 'o', ['P'] = 'p', ['Q'] = 'q', ['R'] = 'r',
	['S'] = 's', ['T'] = 't', ['U'] = 'u', ['V'] = 'v', ['W'] = 'w', ['X'] = 'x', ['Y'] = 'y', ['Z'] = 'z', ['a'] = 'a',
	['b'] = 'b', ['c'] = 'c', ['d'] = 'd', ['e'] = 'e', ['f'] = 'f', ['g'] = 'g', ['h'] = 'h', ['i'] = 'i', ['j'] = 'j',
	['k'] = 'k', ['l'] = 'l', ['m'] = 'm', ['n'] = 'n', ['o'] = 'o', ['p'] = 'p', ['q'] = 'q', ['r'] = 'r', ['s'] = 's',
	['t'] = 't', ['u'] = 'u', ['v'] = 'v', ['w'] = 'w', ['x'] = 'x', ['y'] = 'y', ['z'] = 'z', ['0'] = '0', ['1'] = '1',
	['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9', ['_'] = '_',
	['$'] = '$',
	/* Bytes of characters beyond ASCII belong to words; no word of the table has one, so they need not differ. */
	[0x80 ... 0xFF] = 0x80,
};
/* clang-format on */

/* ---- the index: open addressing, at most a third full ---------------------------------------------------------- */

#define SLOT_BITS 11
#define SLOTS     (1u << SLOT_BITS)

static uint16_t slots[SLOTS]; /* place in `words` plus one; 0: free */
static atomic_bool slots_ready;
static pthread_once_t slots_once = PTHREAD_ONCE_INIT;

static void fill_slots(void)
{
	_Static_assert(COUNT_OF(words) < SLOTS / 3, "a larger table needs more slots");
	for (size_t i = 0; i < COUNT_OF(words); i++) {
		uint32_t hash = SQL_WORD_HASH_START;
		for (size_t at = 0; at < words[i].size; at++)
			hash = sql_word_hash(hash, sql_word_fold[(uint8_t)words[i].text[at]]);
		uint32_t slot = hash >> (32 - SLOT_BITS);
		while (slots[slot] != 0)
			slot = (slot + 1) % SLOTS;
		slots[slot] = (uint16_t)(i + 1);
	}
	atomic_store_explicit(&slots_ready, true, memory_order_release);
}

static bool word_matches(const struct sql_word *word, struct span text)
{
	if (word->size != text.size)
		return false;
	for (size_t i = 0; i < text.size; i++)
		if (sql_word_fold[(uint8_t)text.start[i]] != (uint8_t)word->text[i])
			return false;
	return true;
}

const struct sql_word *sql_word_find(struct span text, uint32_t hash)
{
	if (UNLIKELY(!atomic_load_explicit(&slots_ready, memory_order_acquire)))
		pthread_once(&slots_once, fill_slots);
	if (text.size > SQL_WORD_MOST)
		return NULL;
	/* Ends at a free slot: two thirds are free. */
	for (uint32_t slot = hash >> (32 - SLOT_BITS); slots[slot] != 0; slot = (slot + 1) % SLOTS) {
		const struct sql_word *word = &words[slots[slot] - 1];
		if (word_matches(word, text))
			return word;
	}
	return NULL;
}

const struct sql_word *sql_word_look_up(struct span text)
{
	uint32_t hash = SQL_WORD_HASH_START;
	for (size_t i = 0; i < text.size; i++)
		hash = sql_word_hash(hash, sql_word_fold[(uint8_t)text.start[i]]);
	return sql_word_find(text, hash);
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Names of the MySQL protocol's numbers, from the tables in mysql.h. Pure; for logs and for errors that noah writes.
 */
#include "proto/mysql.h"

const char *mysql_command_name(uint8_t command)
{
	switch (command) {
#define X(name, number) \
	case number:        \
		return "COM_" #name;
		MYSQL_COMMANDS(X)
#undef X
	default:
		return "COM_?";
	}
}

const char *mysql_capability_name(unsigned bit)
{
	switch (bit) {
#define X(name, number) \
	case number:        \
		return #name;
		MYSQL_CAPABILITIES(X)
#undef X
	default:
		return NULL;
	}
}

const char *mysql_sqlstate(uint16_t code)
{
	switch (code) {
#define X(name, number, sqlstate) \
	case number:                  \
		return sqlstate;
		MYSQL_ERRORS(X)
#undef X
	default:
		return "HY000";
	}
}

enum mysql_answer mysql_command_answer(uint8_t command)
{
	switch (command) {
	case MYSQL_COM_QUIT:
	case MYSQL_COM_STMT_CLOSE:
	case MYSQL_COM_STMT_SEND_LONG_DATA:
		return MYSQL_ANSWER_NONE;
	case MYSQL_COM_QUERY:
	case MYSQL_COM_PROCESS_INFO:
	case MYSQL_COM_STMT_EXECUTE:
	case MYSQL_COM_STMT_BULK_EXECUTE:
		return MYSQL_ANSWER_RESULT;
	case MYSQL_COM_STMT_PREPARE:
		return MYSQL_ANSWER_PREPARED;
	case MYSQL_COM_STMT_FETCH:
		return MYSQL_ANSWER_ROWS;
	case MYSQL_COM_FIELD_LIST:
		return MYSQL_ANSWER_FIELDS;
	case MYSQL_COM_STATISTICS:
		return MYSQL_ANSWER_TEXT;
	case MYSQL_COM_CHANGE_USER:
		return MYSQL_ANSWER_LOGIN;
	case MYSQL_COM_BINLOG_DUMP:
	case MYSQL_COM_BINLOG_DUMP_GTID:
	case MYSQL_COM_TABLE_DUMP:
	case MYSQL_COM_CLONE:
		return MYSQL_ANSWER_STREAM;
	default:
		return MYSQL_ANSWER_SIMPLE;
	}
}

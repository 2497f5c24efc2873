/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Names and passwords in Authorization fields.
 */
#include "unit.h"

#include "edge.h"
#include "proto/http.h"

static bool read_value(const char *value, size_t room, struct span *name, struct span *password)
{
	static char memory[1024];
	char *copy = edge_copy(value, strlen(value));

	memset(memory, 0x7e, sizeof(memory));
	bool read = http_basic_read(span_of(copy, strlen(value)), memory, room, name, password);
	for (size_t i = room; i < sizeof(memory); i++)
		assert_int_equal(memory[i], 0x7e);
	return read;
}

static void expect(const char *value, const char *name, const char *password)
{
	struct span got_name, got_password;
	size_t size = strlen(name) + 1 + strlen(password);

	for (size_t room = 0; room < size; room++)
		assert_false(read_value(value, room, &got_name, &got_password));
	assert_true(read_value(value, size, &got_name, &got_password));
	assert_true(span_equal(got_name, span_of_text(name)));
	assert_true(span_equal(got_password, span_of_text(password)));
}

static void refuse(const char *value)
{
	struct span name, password;

	assert_false(read_value(value, 512, &name, &password));
}

static void test_right(void **state)
{
	expect("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"); /* RFC 7617 2 */
	expect("basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame");
	expect("BASIC    QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame");
	expect("Basic dGVzdDoxMjPCow==", "test", "123\xc2\xa3"); /* RFC 7617 2.1 */
	expect("Basic Og==", "", "");
	expect("Basic YTo=", "a", "");
	expect("Basic OmE=", "", "a");
	expect("Basic YTpiOmM6", "a", "b:c:");
	expect("Basic YTo+Pz8/fn4=", "a", ">???~~");
	(void)state;
}

static void test_wrong(void **state)
{
	refuse("");
	refuse("Basic");
	refuse("Basic ");
	refuse("BasicQTpC");
	refuse("Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
	refuse("Basic QWxhZGRpbg=="); /* no colon */
	refuse("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ");
	refuse("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=");
	refuse("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ===");
	refuse("Basic ====");
	refuse("Basic Og=*");
	refuse("Basic YT=p");
	refuse("Basic YTpi YTpi");
	refuse("Basic YTpi,YTpi");
	refuse("Basic YTo-Pz8_");
	refuse("Basic YT9="); /* bits left over: YTo= and YTp= would mean the same */
	refuse("Basic Oh==");
	refuse("Basic YTpiAGM="); /* NUL */
	refuse("Basic YToKYg==");
	refuse("Basic YTp/");
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_right),
	    cmocka_unit_test(test_wrong),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Nanoseconds for parsing and rewriting one usual browser request and its answer, each the best of several rounds. Run it pinned
 * to a core: build/bench/parser.
 */
#include <stdio.h>
#include <stdlib.h>

#include "proto/http.h"

#define ROUNDS  9
#define REPEATS 100000

static const char request_text[] =
    "GET /wp-content/themes/site/style.css?ver=6.1.1 HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "Connection: keep-alive\r\n"
    "Cache-Control: max-age=0\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Referer: http://www.example.com/2026/11/a-post/\r\n"
    "Accept-Encoding: gzip, deflate\r\n"
    "Accept-Language: de-DE,de;q=0.9,en;q=0.8\r\n"
    "Cookie: wordpress_logged_in_5c016e8f0f95f039102cbe8366c5c7f3=admin%7C1700000000; wp-settings-1=editor\r\n"
    "\r\n";
static const char response_text[] = "HTTP/1.1 200 OK\r\n"
                                    "Date: Sat, 21 Nov 2026 00:00:00 GMT\r\n"
                                    "Server: Apache/2.4.57 (Debian)\r\n"
                                    "Last-Modified: Fri, 20 Nov 2026 10:00:00 GMT\r\n"
                                    "ETag: \"400-5f9c1d1e6a2c0\"\r\n"
                                    "Accept-Ranges: bytes\r\n"
                                    "Content-Length: 1024\r\n"
                                    "Vary: Accept-Encoding\r\n"
                                    "Keep-Alive: timeout=5, max=100\r\n"
                                    "Connection: Keep-Alive\r\n"
                                    "Content-Type: text/css\r\n"
                                    "\r\n";

static struct http_request request;
static struct http_response response;
static char memory[4096];

static void parse_request(void)
{
	struct http_progress progress = {0};
	struct http_error error;
	size_t used;
	if (http_request_parse(&progress, request_text, sizeof(request_text) - 1, &request, &used, &error) != HTTP_DONE)
		abort();
}

static void parse_response(void)
{
	struct http_progress progress = {0};
	struct http_error error;
	size_t used;
	if (http_response_parse(&progress, response_text, sizeof(response_text) - 1, HTTP_METHOD_GET, &response, &used, &error) !=
	    HTTP_DONE)
		abort();
}

static void write_request(void)
{
	struct http_writer writer;
	http_writer_init(&writer, memory, sizeof(memory), NULL, 0);
	http_write_request(&writer, &request,
	                   HTTP_SET(HTTP_FIELD_X_FORWARDED_FOR) | HTTP_SET(HTTP_FIELD_X_REAL_IP) | HTTP_SET(HTTP_FIELD_VIA),
	                   SPAN("x"));
	http_write_field(&writer, SPAN("X-Forwarded-For"), SPAN("172.16.0.99"));
	http_write_field(&writer, SPAN("X-Forwarded-Proto"), SPAN("http"));
	http_write_field(&writer, SPAN("X-Real-IP"), SPAN("172.16.0.99"));
	http_write_field(&writer, SPAN("Via"), SPAN("1.1 noah"));
	http_write_head_end(&writer);
	if (!http_writer_finish(&writer))
		abort();
}

static void write_response(void)
{
	struct http_writer writer;
	http_writer_init(&writer, memory, sizeof(memory), NULL, 0);
	http_write_response(&writer, &response, HTTP_SET(HTTP_FIELD_VIA));
	http_write_field(&writer, SPAN("Via"), SPAN("1.1 noah"));
	http_write_framing(&writer, response.framing, response.length);
	http_write_head_end(&writer);
	if (!http_writer_finish(&writer))
		abort();
}

static void measure(const char *what, void (*run)(void), size_t bytes)
{
	double best = 1e9;
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t start = clock_monotonic_us();
		for (unsigned i = 0; i < REPEATS; i++)
			run();
		double each = (double)(clock_monotonic_us() - start) * 1000 / REPEATS;
		best = each < best ? each : best;
	}
	printf("%-16s %5zu bytes %7.0f ns\n", what, bytes, best);
}

int main(void)
{
	measure("parse request", parse_request, sizeof(request_text) - 1);
	measure("write request", write_request, sizeof(request_text) - 1);
	measure("parse response", parse_response, sizeof(response_text) - 1);
	measure("write response", write_response, sizeof(response_text) - 1);
	return 0;
}

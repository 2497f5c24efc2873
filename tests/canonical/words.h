/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What visitor.c makes requests of: for each part what servers and proxies have been seen to read in two ways.
 */
#ifndef NOAH_TESTS_CANONICAL_WORDS_H
#define NOAH_TESTS_CANONICAL_WORDS_H

#include <stddef.h>

/* A word that may hold a NUL. */
struct word {
	const char *start;
	size_t size;
};
#define W(text) {text, sizeof(text) - 1}

/* clang-format off */
static const struct word good_methods[] = {
	W("GET"), W("GET"), W("POST"), W("POST"), W("PUT"), W("HEAD"), W("OPTIONS"), W("DELETE"), W("PATCH"),
	W("PROPFIND"), W("BREW"),
};
static const struct word bad_methods[] = {
	W(""), W("get"), W("GE\tT"), W("G\0ET"), W("CONNECT"), W("TRACE"), W("GET "), W("\r\nGET"), W("\nGET"), W(" GET"),
	W("GET:"), W("\x80GET"), W("PRI"), W("AVERYLONGMETHODTHATNOBODYKNOWS"), W("GET\v"), W("\r\n\r\nGET"), W("G\rET"),
};
static const struct word bad_targets[] = {
	W("/a b"), W("/\x01"), W("/#x"), W("*"), W(""), W("/\xff\xfe"), W("//"), W("/a\\b"), W("/?\"<>"), W("/%00"),
	W("/%0d%0aX: y"), W("http://"), W("http://other.example/"), W("HTTP://h/"), W("https://h"), W("http://h:0/"),
	W("http://a@h/"), W("http://h?x"), W("ftp://h/"), W("h:80"), W("?x"), W("/\0"), W("/..//../x"),
	W("/ HTTP/1.1\r\nX: y"), W("/\t"), W("http://[::1]/"), W("http://[::1/"), W("http:///x"), W("/;\r/"),
	W("/{|}^`[]"), W("http://h\\@x/"),
};
static const struct word versions[] = {
	W("HTTP/1.0"), W("HTTP/1.2"), W("HTTP/2.0"), W("HTTP/0.9"), W("http/1.1"), W("HTTP/1.1 "), W(""), W("HTTP/01.1"),
	W("HTTP/1.10"), W("HTTP/1.1\0"), W("HTTP /1.1"), W("HTTP/1,1"), W("HTTP/1.1\t"), W("HTTP/-1.1"),
	W("HTTP/1.1 HTTP/1.1"),
};
static const struct word line_ends[] = {
	W("\n"), W("\r"), W("\r\r\n"), W("\n\r"), W("\r\n "), W("\r\n\t"), W(" \r\n"), W("\0\r\n"), W("\v\r\n"),
	W("\x85"), W("\r\n\r\n"), W(""),
};
static const struct word hosts[] = {
	W("a b"), W(""), W("a,b"), W("a@b"), W("a/b"), W("[::1]"), W("[::1"), W("a:80"), W("a:0"), W("a:99999"),
	W("a:8x"), W("a:"), W(":80"), W("\xc3\xa9"), W("a\0b"), W("a\tb"), W(".."), W("a."), W("A"), W("127.0.0.1"),
	W("a:80:80"), W("a, a"), W("*"), W("a%20b"),
};
static const struct word lengths[] = {
	W("+5"), W("-5"), W("5, 5"), W("5,6"), W("0x5"), W("5 5"), W(""), W(" "), W("05"), W("5.0"), W("5e0"), W("\t5"),
	W("5\t"), W("5;"), W("18446744073709551617"), W("9223372036854775808"), W("99999999999999999999999999"),
	W("\xd9\xa5"), W("5\v"), W("\0005"), W("'5'"), W("five"), W("00000000000000000000005"),
};
static const struct word codings[] = {
	W("chunked"), W("Chunked"), W("chunked, chunked"), W("gzip, chunked"), W("chunked, gzip"), W("identity"),
	W("xchunked"), W("chunked;q=1"), W("\"chunked\""), W(",chunked"), W("chunked,"), W("chunked "), W("\tchunked"),
	W("\vchunked"), W("chu\0nked"), W(""), W("chunked\x80"), W("chunk ed"), W("identity, chunked"),
	W("ch\xc3\xbcnked"),
};
static const struct word connections[] = {
	W("close"), W("keep-alive"), W("Content-Length"), W("Transfer-Encoding"), W("Host"),
	W("X-Real-IP, X-Forwarded-For"), W("close, close"), W("Via"), W(","), W("te, trailer, upgrade"), W("upgrade"),
	W("Upgrade, HTTP2-Settings"), W("\x01"), W("a b"), W("x-one, x-two"), W("keep-alive, Connection"), W("Expect"),
	W(""),
};
static const struct word names[] = {
	W("Content_Length"), W("Transfer_Encoding"), W("Content-Length "), W("Transfer-Encoding\t"), W(" Content-Length"),
	W("content-length"), W("TRANSFER-ENCODING"), W("Transfer-Encoding\0"), W("Content-Length\x80"),
	W("X-Forwarded-For"), W("X-Real-IP"), W("x_real_ip"), W("X-Forwarded_For"), W("X-Forwarded-Proto"),
	W("X-Forwarded-Host"), W("Forwarded"), W("Via"), W("Host"), W("HOST"), W("Host "), W("H\0st"), W("TE"),
	W("Trailer"), W("Upgrade"), W("HTTP2-Settings"), W("Keep-Alive"), W("Proxy-Connection"), W("Proxy-Authorization"),
	W("Max-Forwards"), W("Expect"), W(""), W(":"), W("Cont\rent-Length"), W("X\nTransfer-Encoding"),
	W("X-Forwarded-Port"), W("(comment)"), W("Cookie"), W("Range"), W("X-\xc3\xa9"), W("Accept-Encoding"),
	W("Accept_Encoding"), W("If-None-Match"), W("If-Range"),
};
static const struct word values[] = {
	W("chunked"), W("5"), W("0"), W("a"), W(""), W("127.0.0.1"), W("1.1 noah"), W("http"), W("https"), W("trailers"),
	W("websocket"), W("h2c"), W("100-continue"), W("100-Continue, x"), W("100"), W("-1"), W("3"), W("x\ry"),
	W("x\0y"), W("x\x01y"), W("x\x7fy"), W("\xff\xfe\xfd"), W("a\r\n b"), W("a\r\n\tchunked"), W("a\nHost: b"),
	W("for=1.2.3.4"), W("keep-alive, 5"), W("x\r\nContent-Length: 7"), W("gzip"), W("bytes=0-0,-1"), W("W/\"x\""),
};
static const struct word accepted_codings[] = {
	W("gzip"), W("br"), W("zstd"), W("gzip, deflate, br, zstd"), W("*"), W("identity"), W("gzip;q=0"), W("br;q=1.000"),
	W("zstd;q=0.5, gzip;q=0.4"), W("*;q=0, identity"), W(""), W("x-gzip"), W("gzip , br"), W("GZIP;Q=1"), W(",, gzip ,,"),
};
static const struct word odd_codings[] = {
	W("gzip;q=2"), W("gzip;q="), W("gzip;q=0.0001"), W("gzip;q=-1"), W(";q=1"), W("gzip;"), W("gzip;q=1;q=0"), W("g\x01zip"),
	W("gz\0ip"), W("\"gzip\""), W("gzip;q=\"1\""), W("gzip q=1"), W("gzip\r\n ,br"), W("br;q=1e0"), W("\xff"), W("*;q"),
};
static const struct word field_separators[] = {
	W(":"), W(" : "), W("\t:"), W(" "), W("="), W("::"), W(":\t "), W(":\r\n "), W(":\0"),
};
static const struct word chunk_sizes[] = {
	W("0x5"), W("+5"), W("-5"), W(" 5"), W("5 "), W("5\t"), W("05"), W("000000000000000000005"),
	W("fffffffffffffffff"), W("ffffffffffffffff"), W("7fffffffffffffff"), W("5;a=b"), W("5;a=\"b\r\n\""), W("5;\n"),
	W("5 ;x"), W("g"), W(""), W("5\r"), W("\xd9\xa5"), W("5,5"), W("0"), W("00"), W("5\0"), W("5;\x01"), W("0;x"),
	W("0x0"),
};
static const struct word chunk_ends[] = {
	W(""), W("\n"), W("\r"), W("X"), W("XX"), W("\r\n\r\n"), W(" \r\n"), W("\n\r"),
};
static const struct word trailer_lines[] = {
	W("X: y\r\n"), W("Content-Length: 5\r\n"), W("Host: b\r\n"), W("Transfer-Encoding: chunked\r\n"), W("X : y\r\n"),
	W(" folded\r\n"), W("no colon\r\n"), W("X: y\n"), W("X: \0\r\n"), W("\n"), W("\r\r\n"), W("GET / HTTP/1.1\r\n"),
};
static const struct word splices[] = {
	W("\r\n"), W("\n"), W("\r"), W("\0"), W(" "), W("\t"), W(":"), W(","), W(";"), W("\r\n\r\n"), W("\n\n"),
	W("0\r\n\r\n"), W("Content-Length: 5\r\n"), W("Transfer-Encoding: chunked\r\n"),
	W("\r\nTransfer-Encoding: chunked\r\n\r\n"), W("Host: x\r\n"), W("HTTP/1.1"),
	W("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), W("\x80"), W("\xff"), W("\v"), W("\f"), W("%0d%0a"), W("\x85"),
	W("\xe5\x98\x8a\xe5\x98\x8d"), W("5\r\n"),
};
/* Of HTTP/2 only. */
static const struct word bad_names[] = {
	W("Host"), W("X-Upper"), W("x y"), W("x:y"), W(""), W("x\r\ny"), W("x\0y"), W("\x80"), W(":unknown"),
	W("transfer-encoding"), W("connection"), W("keep-alive"), W("proxy-connection"), W("upgrade"), W("te"),
	W("http2-settings"), W("content_length"), W("x-real-ip"), W("x-forwarded-for"), W("x-forwarded-proto"),
	W("forwarded"), W(":method"), W(":path"), W(":status"), W("host"), W("cookie"), W("content-length"),
	W("expect"), W("trailer"), W("accept-encoding"), W("range"), W("x\ttransfer-encoding"), W("x: y\r\ntransfer-encoding"), W("x-forwarded-host"),
	W("via"), W("max-forwards"),
};
static const struct word bad_values[] = {
	W("chunked"), W("5"), W("0"), W(""), W(" a"), W("a "), W("\ta"), W("a\r\nb: c"),
	W("a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"), W("a\nb"), W("a\rb"), W("a\0b"), W("a\x7f"),
	W("\xff\xfe"), W("trailers"), W("trailers, gzip"), W("websocket"), W("close"), W("127.0.0.1"),
	W("100-continue"), W("5, 5"), W("+5"), W("a\x01"), W("x\r\nTransfer-Encoding: chunked"), W("1.1 noah"),
	W("other.example"),
};
static const struct word bad_paths[] = {
	W(""), W("*"), W("a"), W("/a b"), W("/ HTTP/1.1\r\nX: y"), W("/\r\nX: y"), W("/\n"), W("/\0"), W("/#x"),
	W("//x"), W("http://x/"), W("/\xff"), W("?x"), W("/\t"), W("/a\\b"), W("/\x7f"), W(" /"), W("/ "),
	W("/..//../"), W("x:80"), W("/%00"), W("/\"<>"),
};
static const struct word bad_methods_of_2[] = {
	W(""), W("get"), W("GET /"), W("GET / HTTP/1.1\r\nHost: x\r\nX:"), W("CONNECT"), W("TRACE"), W("G\0T"),
	W("\r\nGET"), W("GET\r\n"), W("PRI"), W("AVERYLONGMETHODTHATNOBODYKNOWS"), W(" GET"), W("G\xc3T"), W("G\tT"),
};
static const struct word schemes[] = {
	W("http"), W("https"), W("ftp"), W(""), W("http://x/"), W("h\r\nX: y"), W("HTTP"),
};
/* clang-format on */

#endif

// SPDX-License-Identifier: GPL-2.0-only
/* What is JSON, what is not, and what is found in it. */
#include "kselftest_harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ktstr/json.h>

/* In memory of exactly its length, so that a look past the end is seen by the sanitizer. */
static bool valid(const char *text, size_t length)
{
	char *copy = malloc(length ? length : 1);
	bool ret;

	memcpy(copy, text, length);
	ret = ktstr_json__valid(copy, length);
	free(copy);
	return ret;
}

TEST(texts_of_the_grammar_are_valid)
{
	static const char *const texts[] = {
		"0",
		" {} ",
		"[]",
		"[[],{},[{}]]",
		"-0.5e+10",
		"1E-2",
		"true",
		"null",
		"{\"a\" : [1 , 2.5,\"x\"],\n\t\"b\":false}\r\n",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\"",
		"\"\\ud83d\\ude00 \xf0\x9f\x98\x80 \xc3\xa9 \xe2\x82\xac \x7f\"",
		"{\"\":0,\"\":1}",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		EXPECT_TRUE(valid(texts[i], strlen(texts[i])))
		{
			TH_LOG("%s", texts[i]);
		}
	}
}

TEST(other_texts_are_not)
{
	static const char *const texts[] = {
		"",
		" ",
		"{",
		"}",
		"[1,]",
		"[,1]",
		"[1 2]",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"{a:1}",
		"{\"a\":1 \"b\":2}",
		"{1:2}",
		"[}",
		"{]",
		"[1}",
		"{\"a\":1]",
		"01",
		"1.",
		".5",
		"+1",
		"-",
		"1e",
		"1e+",
		"0x10",
		"NaN",
		"tru",
		"truetrue",
		"nul",
		"\"",
		"\"\\\"",
		"\"\\x41\"",
		"\"\\u00g0\"",
		"\"\\u12\"",
		"\"\n\"",
		"\"\x1b[0m\"",
		"\"\\ud800\"",
		"\"\\udc00\"",
		"\"\\ud800\\n\"",
		"\"\\ud800\\ud800\"",
		"\"\xff\"",
		"\"\xc0\x80\"",
		"\"\xe2\x82\"",
		"\"\xed\xa0\x80\"",
		"\"\xf5\x80\x80\x80\"",
		"\"\xf4\x90\x80\x80\"",
		"1 2",
		"{}{}",
		"[1]x",
		"'a'",
		"// c\n1",
		"\x80",
		"\xef\xbb\xbf{}",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		EXPECT_FALSE(valid(texts[i], strlen(texts[i])))
		{
			TH_LOG("%s", texts[i]);
		}
	}
	EXPECT_FALSE(valid("1\0", 2));
	EXPECT_FALSE(valid("\"\0\"", 3));
}

TEST(depth_is_bounded_and_each_level_keeps_its_kind)
{
	char text[4 * KTSTR_JSON_DEPTH + 8];

	for (size_t depth = KTSTR_JSON_DEPTH; depth <= KTSTR_JSON_DEPTH + 1; depth++) {
		size_t n = 0;

		for (size_t i = 0; i < depth; i++)
			n += (size_t)sprintf(text + n, i % 3 ? "[" : "{\"\":");
		n += (size_t)sprintf(text + n, "1");
		for (size_t i = depth; i-- > 0;)
			text[n++] = i % 3 ? ']' : '}';
		EXPECT_EQ(depth == KTSTR_JSON_DEPTH, valid(text, n));
		/* the outermost end is another one's */
		text[n - 1] = ']';
		EXPECT_FALSE(valid(text, n));
	}
}

/* Every beginning of a text is incomplete, and no byte of it is left out unseen. */
TEST(every_cut_of_a_text_is_invalid)
{
	static const char text[] =
		"{\"a\\u00e9\":[-1.5e3,true,null,{\"b\":\"\\ud83d\\ude00\xc3\xa9\"}]}";

	EXPECT_TRUE(valid(text, sizeof(text) - 1));
	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		EXPECT_FALSE(valid(text, n))
		{
			TH_LOG("%.*s", (int)n, text);
		}
	}
}

static const char sample[] =
	"{\"errno\":0,\"args\":{\"x\":{\"resp\":7},\"resp\":{\"n\":18446744073709551615,"
	"\"big\":18446744073709551616,\"neg\":-1,\"frac\":1.0,\"dsqs\":[{\"q\":1}, {\"q\":2}],"
	"\"a/b\":3,\"m~n\":4,\"\\u00e9\":5,\"\":6,\"name\":\"a\\n\\u20ac\",\"nul\":\"\\u0000\","
	"\"n\":8}}}";

TEST(numbers_are_found_by_their_pointer)
{
	uint64_t n = 99;

	EXPECT_EQ(0, ktstr_json__u64(sample, "/errno", &n));
	EXPECT_EQ(0, n);
	EXPECT_EQ(0, ktstr_json__u64(sample, "/args/resp/n", &n));
	EXPECT_EQ(UINT64_MAX, n);
	EXPECT_EQ(0, ktstr_json__u64(sample, "/args/x/resp", &n));
	EXPECT_EQ(7, n);
	EXPECT_EQ(0, ktstr_json__u64(sample, "/args/resp/dsqs/1/q", &n));
	EXPECT_EQ(2, n);
	EXPECT_EQ(0, ktstr_json__u64(sample, "/args/resp/a~1b", &n));
	EXPECT_EQ(3, n);
	EXPECT_EQ(0, ktstr_json__u64(sample, "/args/resp/m~0n", &n));
	EXPECT_EQ(4, n);
	EXPECT_EQ(0, ktstr_json__u64(sample, "/args/resp/\xc3\xa9", &n));
	EXPECT_EQ(5, n);
	EXPECT_EQ(0, ktstr_json__u64(sample, "/args/resp/", &n));
	EXPECT_EQ(6, n);
	EXPECT_EQ(0, ktstr_json__u64(" 12 ", "", &n));
	EXPECT_EQ(12, n);
}

TEST(what_is_not_there_or_of_another_type_is_told_apart)
{
	char buf[8];
	uint64_t n;

	EXPECT_EQ(-ENOENT, ktstr_json__u64(sample, "/args/resp/none", &n));
	EXPECT_EQ(-ENOENT, ktstr_json__u64(sample, "/args/re", &n));
	EXPECT_EQ(-ENOENT, ktstr_json__u64(sample, "/errno/x", &n));
	EXPECT_EQ(-ENOENT, ktstr_json__u64(sample, "/args/resp/dsqs/2", &n));
	EXPECT_EQ(-ENOENT, ktstr_json__u64(sample, "/args/resp/dsqs/01", &n));
	EXPECT_EQ(-ENOENT, ktstr_json__u64(sample, "/args/resp/dsqs/-", &n));
	EXPECT_EQ(-ENOENT, ktstr_json__u64("[]", "/0", &n));
	EXPECT_EQ(-ENOENT, ktstr_json__u64("{}", "/", &n));
	EXPECT_EQ(-EINVAL, ktstr_json__u64(sample, "errno", &n));
	EXPECT_EQ(-EINVAL, ktstr_json__u64(sample, "/m~2n", &n));
	EXPECT_EQ(-EINVAL, ktstr_json__u64(sample, "/args", &n));
	EXPECT_EQ(-ERANGE, ktstr_json__u64(sample, "/args/resp/big", &n));
	EXPECT_EQ(-ERANGE, ktstr_json__u64(sample, "/args/resp/neg", &n));
	EXPECT_EQ(-ERANGE, ktstr_json__u64(sample, "/args/resp/frac", &n));
	EXPECT_EQ(-EBADMSG, ktstr_json__u64("{\"a\":1} x", "/a", &n));
	EXPECT_EQ(0, ktstr_json__string(sample, "/args/resp/name", buf, 6));
	EXPECT_STREQ("a\n\xe2\x82\xac", buf);
	EXPECT_EQ(-ENOSPC, ktstr_json__string(sample, "/args/resp/name", buf, 5));
	EXPECT_EQ(-ENOSPC, ktstr_json__string("\"\"", "", buf, 0));
	EXPECT_EQ(-EINVAL, ktstr_json__string(sample, "/args/resp/nul", buf, sizeof(buf)));
	EXPECT_EQ(-EINVAL, ktstr_json__string(sample, "/errno", buf, sizeof(buf)));
}

TEST_HARNESS_MAIN

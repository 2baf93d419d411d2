// SPDX-License-Identifier: GPL-2.0-only
/* The grammar of RFC 8259, read from left to right with one bit of memory a level. */
#include <ktstr/json.h>

#include <errno.h>
#include <string.h>

struct cursor {
	const char *at, *end;
};

static char peek(const struct cursor *c)
{
	return c->at < c->end ? *c->at : '\0';
}

/* The next byte is @byte: steps over it. */
static bool accept(struct cursor *c, char byte)
{
	if (c->at == c->end || *c->at != byte)
		return false;
	c->at++;
	return true;
}

/* RFC 8259 §2 */
static void skip_space(struct cursor *c)
{
	while (c->at < c->end &&
	       (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
		c->at++;
}

static bool accept_after_space(struct cursor *c, char byte)
{
	skip_space(c);
	return accept(c, byte);
}

/* ---- Strings (RFC 8259 §7); characters come out as UTF-8 (RFC 3629) ---- */

static bool is_surrogate(uint32_t code)
{
	return code >= 0xd800 && code <= 0xdfff;
}

static int put_utf8(uint32_t code, char out[4])
{
	static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	int n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

	for (int i = n - 1; i > 0; i--, code >>= 6)
		out[i] = (char)(0x80 | (code & 0x3f));
	out[0] = (char)(lead[n] | code);
	return n;
}

/* One character as it stands. Its length, or -1. */
static int raw_char(struct cursor *c, char out[4])
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000}; /* no overlong forms */
	uint8_t lead = (uint8_t)*c->at;
	int n = lead < 0x80	  ? 1
		: lead >> 5 == 6  ? 2
		: lead >> 4 == 14 ? 3
		: lead >> 3 == 30 ? 4
				  : 0;
	uint32_t code;

	if (!n || c->end - c->at < n || lead < 0x20)
		return -1;
	code = n == 1 ? lead : lead & (0x7fu >> n);
	for (int i = 1; i < n; i++) {
		uint8_t byte = (uint8_t)c->at[i];

		if ((byte & 0xc0) != 0x80)
			return -1;
		code = code << 6 | (byte & 0x3fu);
	}
	if (code < least[n] || code > 0x10ffff || is_surrogate(code))
		return -1;
	memcpy(out, c->at, (size_t)n);
	c->at += n;
	return n;
}

static bool hex4(struct cursor *c, uint32_t *code)
{
	*code = 0;
	for (int i = 0; i < 4; i++) {
		static const char digits[] = "0123456789abcdefABCDEF";
		char byte = peek(c);
		const char *digit = byte ? strchr(digits, byte) : NULL;
		uint32_t value;

		if (!digit)
			return false;
		value = (uint32_t)(digit - digits);
		*code = *code << 4 | (value > 15 ? value - 6 : value);
		c->at++;
	}
	return true;
}

/* What follows a backslash. */
static int escaped_char(struct cursor *c, char out[4])
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char byte = peek(c);
	const char *found = byte ? strchr(from, byte) : NULL;
	uint32_t code, low;

	if (found) {
		c->at++;
		out[0] = to[found - from];
		return 1;
	}
	if (!accept(c, 'u') || !hex4(c, &code))
		return -1;
	if (is_surrogate(code)) {
		if (code >= 0xdc00 || !accept(c, '\\') || !accept(c, 'u') || !hex4(c, &low) ||
		    low < 0xdc00 || low > 0xdfff)
			return -1;
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	}
	return put_utf8(code, out);
}

/* Within a string: the length of the next character, 0 after the closing quote, -1. */
static int next_char(struct cursor *c, char out[4])
{
	if (c->at == c->end)
		return -1;
	if (accept(c, '"'))
		return 0;
	return accept(c, '\\') ? escaped_char(c, out) : raw_char(c, out);
}

static bool skip_string(struct cursor *c)
{
	char out[4];
	int n;

	if (!accept(c, '"'))
		return false;
	while ((n = next_char(c, out)) > 0)
		;
	return !n;
}

/* ---- Values ---- */

static bool skip_digits(struct cursor *c)
{
	const char *start = c->at;

	while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
		c->at++;
	return c->at > start;
}

/* RFC 8259 §6 */
static bool skip_number(struct cursor *c)
{
	accept(c, '-');
	if (!accept(c, '0') && !skip_digits(c))
		return false;
	if (accept(c, '.') && !skip_digits(c))
		return false;
	if (!accept(c, 'e') && !accept(c, 'E'))
		return true;
	if (!accept(c, '-'))
		accept(c, '+');
	return skip_digits(c);
}

static bool skip_scalar(struct cursor *c)
{
	static const char *const words[] = {"true", "false", "null"};

	if (peek(c) == '"')
		return skip_string(c);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		size_t n = strlen(words[i]);

		if ((size_t)(c->end - c->at) >= n && !memcmp(c->at, words[i], n)) {
			c->at += n;
			return true;
		}
	}
	return skip_number(c);
}

/* A member's name and its colon. */
static bool skip_name(struct cursor *c)
{
	skip_space(c);
	return skip_string(c) && accept_after_space(c, ':');
}

/* One value of any depth that is allowed, from its first byte to its last. */
static bool skip_value(struct cursor *c)
{
	uint64_t objects = 0; /* a bit a level, the innermost lowest: an object, not an array */
	uint32_t depth = 0;

	for (;;) {
		bool object, ended;

		skip_space(c);
		object = peek(c) == '{';
		if (object || peek(c) == '[') {
			if (depth++ == KTSTR_JSON_DEPTH)
				return false;
			c->at++;
			objects = objects << 1 | object;
			ended = accept_after_space(c, object ? '}' : ']');
			if (!ended) {
				if (object && !skip_name(c))
					return false;
				continue;
			}
			depth--;
			objects >>= 1;
		} else if (!skip_scalar(c)) {
			return false;
		}
		/* After a value: the ends of what it was the last of, then the next one. */
		for (;;) {
			if (!depth)
				return true;
			if (!accept_after_space(c, objects & 1 ? '}' : ']'))
				break;
			depth--;
			objects >>= 1;
		}
		if (!accept(c, ',') || ((objects & 1) && !skip_name(c)))
			return false;
	}
}

bool ktstr_json__valid(const char *text, size_t length)
{
	struct cursor c = {text, text + length};

	if (!skip_value(&c))
		return false;
	skip_space(&c);
	return c.at == c.end;
}

/* ---- Pointers (RFC 6901) ---- */

/* Steps over the token's next character: itself, or -1 for a bad escape. */
static int token_char(const char **token, const char *end)
{
	char byte = *(*token)++;

	if (byte != '~')
		return (unsigned char)byte;
	if (*token == end || (**token != '0' && **token != '1'))
		return -1;
	return *(*token)++ == '0' ? '~' : '/';
}

static bool token_ok(const char *token, const char *end)
{
	while (token < end)
		if (token_char(&token, end) < 0)
			return false;
	return true;
}

/* Steps over a name; true when it is the token. */
static bool name_is(struct cursor *c, const char *token, const char *end)
{
	bool same = true;
	char out[4];
	int n;

	accept(c, '"');
	while ((n = next_char(c, out)) > 0)
		for (int i = 0; i < n; i++)
			same = same && token < end &&
			       token_char(&token, end) == (unsigned char)out[i];
	return same && token == end;
}

static bool enter_object(struct cursor *c, const char *token, const char *end)
{
	if (accept_after_space(c, '}'))
		return false;
	do {
		bool found;

		skip_space(c);
		found = name_is(c, token, end);
		accept_after_space(c, ':');
		if (found)
			return true;
		skip_value(c);
	} while (accept_after_space(c, ','));
	return false;
}

static bool enter_array(struct cursor *c, const char *token, const char *end)
{
	uint64_t index = 0;

	/* RFC 6901 §4: no leading zeros; more digits than any text has elements are none of them */
	if (token == end || end - token > 18 || (*token == '0' && end - token > 1))
		return false;
	for (; token < end; token++) {
		if (*token < '0' || *token > '9')
			return false;
		index = index * 10 + (uint64_t)(*token - '0');
	}
	if (accept_after_space(c, ']'))
		return false;
	for (; index; index--) {
		skip_value(c);
		if (!accept_after_space(c, ','))
			return false;
	}
	return true;
}

/* Puts the cursor on the first byte of the value. */
static int find(struct cursor *c, const char *text, const char *pointer)
{
	size_t length = strlen(text);

	if (!ktstr_json__valid(text, length))
		return -EBADMSG;
	*c = (struct cursor){text, text + length};
	skip_space(c);
	while (*pointer) {
		const char *token = pointer + 1, *end = token + strcspn(token, "/");

		if (*pointer != '/' || !token_ok(token, end))
			return -EINVAL;
		if (accept(c, '{') ? !enter_object(c, token, end)
				   : !accept(c, '[') || !enter_array(c, token, end))
			return -ENOENT;
		skip_space(c);
		pointer = end;
	}
	return 0;
}

int ktstr_json__u64(const char *text, const char *pointer, uint64_t *value)
{
	const char *start;
	struct cursor c;
	int ret = find(&c, text, pointer);

	if (ret)
		return ret;
	start = c.at;
	if (*start != '-' && (*start < '0' || *start > '9'))
		return -EINVAL;
	skip_number(&c);
	*value = 0;
	for (; start < c.at; start++)
		if (*start < '0' || *start > '9' || __builtin_mul_overflow(*value, 10u, value) ||
		    __builtin_add_overflow(*value, (uint64_t)(*start - '0'), value))
			return -ERANGE;
	return 0;
}

int ktstr_json__string(const char *text, const char *pointer, char *buf, size_t size)
{
	size_t used = 0;
	struct cursor c;
	char out[4];
	int ret = find(&c, text, pointer), n;

	if (ret)
		return ret;
	if (!accept(&c, '"'))
		return -EINVAL;
	while ((n = next_char(&c, out)) > 0) {
		if (!out[0])
			return -EINVAL;
		if ((size_t)n >= size - used)
			return -ENOSPC;
		memcpy(buf + used, out, (size_t)n);
		used += (size_t)n;
	}
	if (used >= size)
		return -ENOSPC;
	buf[used] = '\0';
	return 0;
}

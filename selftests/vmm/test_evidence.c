// SPDX-License-Identifier: GPL-2.0-only
/* How much of a console is shown when a run has failed. */
#include "kselftest_harness.h"

#include <stdio.h>
#include <string.h>

#include "vmm/evidence.h"

FIXTURE(text)
{
	char text[8192];
};

FIXTURE_SETUP(text)
{
}

FIXTURE_TEARDOWN(text)
{
}

/* "line 1\n" to "line @lines\n" */
static void fill(FIXTURE_DATA(text) * self, int lines)
{
	size_t used = 0;

	for (int i = 1; i <= lines; i++)
		used += (size_t)snprintf(self->text + used, sizeof(self->text) - used,
					 "line %d\r\n", i);
}

/* The number of the first line that is shown, when trouble began in line @trouble (0: none). */
static int first_line(FIXTURE_DATA(text) * self, int trouble)
{
	char begin[32];
	int n = -1;

	snprintf(begin, sizeof(begin), "line %d\r", trouble);
	sscanf(evidence__start(self->text, trouble ? strstr(self->text, begin) : NULL), "line %d",
	       &n);
	return n;
}

TEST_F(text, without_trouble_it_is_the_last_40_lines)
{
	fill(self, 200);
	EXPECT_EQ(161, first_line(self, 0));
	strcat(self->text, "\r\n\n\r\n");
	EXPECT_EQ(161, first_line(self, 0));
	memset(self->text, 0, sizeof(self->text));
	fill(self, 40);
	EXPECT_EQ(1, first_line(self, 0));
	fill(self, 41);
	EXPECT_EQ(2, first_line(self, 0));
}

TEST_F(text, it_begins_with_the_trouble_when_that_is_not_far)
{
	fill(self, 300);
	EXPECT_EQ(250, first_line(self, 250));
	EXPECT_EQ(261, first_line(self, 280)); /* is within the last 40 */
	EXPECT_EQ(261, first_line(self, 261));
	EXPECT_EQ(260, first_line(self, 260));
	EXPECT_EQ(151, first_line(self, 151));
	EXPECT_EQ(261, first_line(self, 150)); /* 151 lines from the end */
	EXPECT_EQ(261, first_line(self, 1));
}

TEST_F(text, short_and_empty_texts_are_whole)
{
	EXPECT_STREQ("", evidence__start("", NULL));
	EXPECT_STREQ("\n\n", evidence__start("\n\n", NULL));
	fill(self, 3);
	EXPECT_EQ(1, first_line(self, 2));
}

TEST_HARNESS_MAIN

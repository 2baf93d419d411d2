// SPDX-License-Identifier: GPL-2.0-only
/* From the description of a NIC to its device, and as text. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"
#include "vmm/nic.h"

FIXTURE(nic)
{
	struct virtio_net_options options[KTSTR_MAX_NICS + 1];
	uint32_t networks[KTSTR_MAX_NICS + 1];
	struct ktstr_error error;
};

FIXTURE_SETUP(nic)
{
}

FIXTURE_TEARDOWN(nic)
{
}

TEST_F(nic, those_of_one_name_are_on_one_network_and_those_without_on_their_own)
{
	const struct ktstr_nic nics[] = {{.network = "a"}, {0}, {.network = "b"},
					 {.network = "a"}, {0}, {.network = "b"}};
	const uint32_t expected[] = {0, 1, 2, 0, 3, 2};

	ASSERT_EQ(0, nic__describe(nics, 6, self->options, self->networks, &self->error));
	for (size_t i = 0; i < 6; i++)
		EXPECT_EQ(expected[i], self->networks[i]);
}

TEST_F(nic, address_is_of_its_place_or_as_given)
{
	const struct ktstr_nic nics[] = {
		{.network = "a"}, {.network = "a"}, {.network = "a", .mac = {0xa6, 1, 2, 3, 4, 5}}};

	ASSERT_EQ(0, nic__describe(nics, 3, self->options, self->networks, &self->error));
	EXPECT_EQ(0, memcmp(self->options[0].mac, "\x02ktst\x00", 6));
	EXPECT_EQ(0, memcmp(self->options[1].mac, "\x02ktst\x01", 6));
	EXPECT_EQ(0, memcmp(self->options[2].mac, nics[2].mac, 6));
}

TEST_F(nic, units_are_those_of_the_device)
{
	const struct ktstr_nic nic = {
		.rate_bps = 10000000, .delay_us = 1500, .queues = 3, .mtu = 9000};

	ASSERT_EQ(0, nic__describe(&nic, 1, self->options, self->networks, &self->error));
	EXPECT_EQ(10000000, self->options[0].rate_bps);
	EXPECT_EQ(1500000, self->options[0].delay_ns);
	EXPECT_EQ(3, self->options[0].pairs);
	EXPECT_EQ(9000, self->options[0].mtu);
}

TEST_F(nic, descriptions_that_cannot_be_are_refused_with_their_number)
{
	static const struct {
		struct ktstr_nic nic;
		const char *why;
	} bad[] = {
		{{.network = ""}, "name"},
		{{.network = "a b"}, "name"},
		{{.network = "a,b"}, "name"},
		{{.network = "123456789012345678901234567890123"}, "name"},
		{{.queues = 17}, "16 pairs"},
		{{.delay_us = 60000001}, "60 s"},
		{{.mtu = 67}, "MTU"},
		{{.mtu = 65536}, "MTU"},
		{{.mac = {1}}, "group"},
		{{.network = "a", .mac = {2, 'k', 't', 's', 't', 0}}, "another"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct ktstr_nic nics[] = {{.network = "a"}, bad[i].nic};

		self->error = (struct ktstr_error){0};
		EXPECT_EQ(-EINVAL,
			  nic__describe(nics, 2, self->options, self->networks, &self->error));
		EXPECT_NE(NULL, strstr(self->error.reason, bad[i].why));
		EXPECT_EQ(0, strcmp(self->error.object, "number 1"));
	}
}

TEST_F(nic, more_than_there_is_room_for_are_refused)
{
	static const struct ktstr_nic nics[KTSTR_MAX_NICS + 1];

	EXPECT_EQ(-E2BIG, nic__describe(nics, KTSTR_MAX_NICS + 1, self->options, self->networks,
					&self->error));
	EXPECT_EQ(0,
		  nic__describe(nics, KTSTR_MAX_NICS, self->options, self->networks, &self->error));
}

/* ---- As text ---- */

TEST(settings_are_read_and_written_as_text)
{
	static const char all[] = "network=a-1_x.y,rate=2500000,delay=60000000,queues=16,mtu=68,"
				  "mac=a6:0b:0c:0d:0e:ff";
	struct ktstr_nic nic = {0};
	char text[200], *written = NULL;
	size_t length;
	FILE *f = open_memstream(&written, &length);

	strcpy(text, all);
	ASSERT_EQ(NULL, nic_options__parse(text, &nic));
	EXPECT_EQ(0, strcmp(nic.network, "a-1_x.y"));
	EXPECT_EQ(2500000, nic.rate_bps);
	EXPECT_EQ(60000000, nic.delay_us);
	EXPECT_EQ(16, nic.queues);
	EXPECT_EQ(68, nic.mtu);
	EXPECT_EQ(0, memcmp(nic.mac, "\xa6\x0b\x0c\x0d\x0e\xff", 6));
	nic_options__write(&nic, f);
	fclose(f);
	EXPECT_EQ(0, strcmp(written, all));
	free(written);
}

TEST(settings_that_are_the_defaults_are_no_text)
{
	struct ktstr_nic nic = {0};
	char text[1] = "", *written = NULL;
	size_t length;
	FILE *f = open_memstream(&written, &length);

	EXPECT_EQ(NULL, nic_options__parse(text, &nic));
	nic_options__write(&nic, f);
	fclose(f);
	EXPECT_EQ(0, strcmp(written, ""));
	free(written);
}

TEST(rates_have_units_of_a_thousand)
{
	static const struct {
		const char *text;
		uint64_t rate;
	} rates[] = {{"rate=1", 1},
		     {"rate=56K", 56000},
		     {"rate=100M", 100000000},
		     {"rate=10G", 10000000000},
		     {"rate=18446744073709551615", UINT64_MAX}};

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct ktstr_nic nic = {0};
		char text[64];

		strcpy(text, rates[i].text);
		EXPECT_EQ(NULL, nic_options__parse(text, &nic));
		EXPECT_EQ(rates[i].rate, nic.rate_bps);
	}
}

TEST(settings_that_cannot_be_are_refused_with_what_they_take)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{"x", "takes network=NAME, rate"},
		{"x=1", "takes network=NAME, rate"},
		{"network", "takes network=NAME, rate"},
		{"network=", "network=NAME"},
		{"network=a b", "network=NAME"},
		{"rate=", "rate=N"},
		{"rate=0", "rate=N"},
		{"rate=-1", "rate=N"},
		{"rate=1T", "rate=N"},
		{"rate=1MM", "rate=N"},
		{"rate=1.5M", "rate=N"},
		{"rate=18446744073709551616", "rate=N"},
		{"rate=18446744073709551615K", "rate=N"},
		{"delay=60000001", "delay=US"},
		{"delay=1K", "delay=US"},
		{"queues=0", "queues=N"},
		{"queues=17", "queues=N"},
		{"queues=4294967297", "queues=N"},
		{"mtu=67", "mtu=N"},
		{"mtu=65536", "mtu=N"},
		{"mtu=9K", "mtu=N"},
		{"mac=", "mac=M"},
		{"mac=02:00:00:00:00", "mac=M"},
		{"mac=02:00:00:00:00:0", "mac=M"},
		{"mac=02:00:00:00:00:0g", "mac=M"},
		{"mac=02:00:00:00:00:00:00", "mac=M"},
		{"mac=03:00:00:00:00:00", "mac=M"},
		{"mac=00:00:00:00:00:00", "mac=M"},
		{"network=a,queues=2,rate=x", "rate=N"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ktstr_nic nic = {0};
		const char *wrong;
		char text[64];

		strcpy(text, bad[i].text);
		wrong = nic_options__parse(text, &nic);
		ASSERT_NE(NULL, wrong)
		{
			TH_LOG("%s", bad[i].text);
		}
		EXPECT_EQ(wrong, strstr(wrong, bad[i].why))
		{
			TH_LOG("%s: %s", bad[i].text, wrong);
		}
	}
}

TEST_HARNESS_MAIN

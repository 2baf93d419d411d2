// SPDX-License-Identifier: GPL-2.0-only
/*
 * PID 1's run in a PID namespace of its own: pipes instead of port 1 and COM2, a directory instead
 * of /sys/kernel/sched_ext, shell scripts as schedulers. Needs the right to make namespaces.
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ktstr/proto.h>
#include <ktstr/vm.h>

#include "fake_profile.h"
#include "guest/init.h"
#include "guest/report.h"
#include "vmm/channel.h"
#include "vmm/com2.h"

#define OUTPUT_MAX (4u << 20)

/* What the host saw. */
struct outcome {
	char order[1024]; /* "LIFE1 LIFE4 TEST ..." */
	char *out, *err, *sched, *com2_out;
	size_t lengths[4];
	size_t out_before_frame; /* bytes of output when the first of the test's frames came */
	uint32_t bad_bytes;	 /* of RAWO, which is all 'r' */
	uint32_t raw_length;
	uint64_t profile[FAKE_COUNTERS]; /* PRAW */
	struct ktstr_test_payload test;
	char skip[1100];
	struct ktstr_sched_exit_payload scdx;
	char scdx_text[1100], reason[200], message[1100], events[200], dump[200];
	bool scdx_is_whole;
	char ops[64];
	uint32_t exit_code;
	struct channel channel;
	struct com2 com2;
};

FIXTURE(init)
{
	char dir[32], log[64]; /* log: instead of the kernel's; "": none */
	struct outcome seen;
	struct guest_shared *shared;
	void (*body)(struct guest_shared * shared);
	int *report_fd; /* shared: the body's descriptor */
	bool with_coverage;
	uint32_t drain_ms;
	int lender, lent;    /* see lending_body(); 0: not yet */
	useconds_t pause_us; /* of the host, after all that it reads */
};

static void store(char *to, size_t *used, const void *data, size_t length)
{
	if (length > OUTPUT_MAX - *used)
		length = OUTPUT_MAX - *used;
	memcpy(to + *used, data, length);
	*used += length;
	to[*used] = '\0';
}

static void on_output(struct outcome *seen, const uint8_t *payload, uint32_t length)
{
	char *to[] = {NULL, seen->out, seen->err, seen->sched};
	uint32_t stream;

	memcpy(&stream, payload, sizeof(stream));
	if (stream >= 1 && stream <= 3)
		store(to[stream], &seen->lengths[stream], payload + 4, length - 4);
}

static void on_life(struct outcome *seen, const uint8_t *payload, uint32_t length)
{
	struct ktstr_life_payload life;

	memcpy(&life, payload, sizeof(life));
	if (life.step == KTSTR_LIFE_SCHED_ATTACHED)
		snprintf(seen->ops, sizeof(seen->ops), "%.*s", (int)(length - sizeof(life)),
			 (const char *)payload + sizeof(life));
	snprintf(seen->order + strlen(seen->order), sizeof(seen->order) - strlen(seen->order),
		 "LIFE%u ", life.step);
}

static void take(char *to, size_t size, const char **at, uint32_t length)
{
	snprintf(to, size, "%.*s", (int)length, *at);
	*at += length;
}

static void on_frame(void *opaque, uint32_t type, uint32_t sequence, const uint8_t *payload,
		     uint32_t length)
{
	struct outcome *seen = opaque;
	size_t used = strlen(seen->order);

	(void)sequence;
	if (type == KTSTR_FRAME_OUTPUT) {
		on_output(seen, payload, length);
		return;
	}
	if (type == KTSTR_FRAME_LIFECYCLE) {
		on_life(seen, payload, length);
		return;
	}
	snprintf(seen->order + used, sizeof(seen->order) - used, "%.4s ", (char *)&type);
	if (type == KTSTR_FRAME_STIMULUS && !seen->out_before_frame)
		seen->out_before_frame = seen->lengths[1];
	if (type == KTSTR_FRAME_RAW_OUTPUT) {
		seen->raw_length = length;
		for (uint32_t i = 0; i < length; i++)
			seen->bad_bytes += payload[i] != 'r';
	}
	if (type == KTSTR_FRAME_PROFRAW && length == sizeof(seen->profile))
		memcpy(seen->profile, payload, length);
	if (type == KTSTR_FRAME_TEST_RESULT) {
		memcpy(&seen->test, payload, sizeof(seen->test));
		snprintf(seen->skip, sizeof(seen->skip), "%.*s", (int)(length - sizeof(seen->test)),
			 (const char *)payload + sizeof(seen->test));
	} else if (type == KTSTR_FRAME_SCHED_EXIT) {
		const char *at = (const char *)payload + sizeof(seen->scdx);

		memcpy(&seen->scdx, payload, sizeof(seen->scdx));
		take(seen->scdx_text, sizeof(seen->scdx_text), &at, seen->scdx.text_length);
		take(seen->reason, sizeof(seen->reason), &at, seen->scdx.reason_length);
		take(seen->message, sizeof(seen->message), &at, seen->scdx.message_length);
		take(seen->events, sizeof(seen->events), &at, seen->scdx.events_length);
		take(seen->dump, sizeof(seen->dump), &at, seen->scdx.dump_length);
		seen->scdx_is_whole = at == (const char *)payload + length;
	} else if (type == KTSTR_FRAME_EXIT) {
		memcpy(&seen->exit_code, payload, sizeof(seen->exit_code));
	}
}

static void on_com2(void *opaque, const char *data, size_t length)
{
	struct outcome *seen = opaque;

	store(seen->com2_out, &seen->lengths[0], data, length);
}

FIXTURE_SETUP(init)
{
	struct outcome *seen = &self->seen;

	if (getuid() || unshare(CLONE_NEWPID | CLONE_NEWNS))
		SKIP(return, "needs the right to make PID and mount namespaces");
	strcpy(self->dir, "/tmp/ktstr-init-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	ASSERT_EQ(0, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	ASSERT_EQ(0, mount("tmpfs", self->dir, "tmpfs", 0, NULL));
	seen->out = calloc(1, OUTPUT_MAX + 1);
	seen->err = calloc(1, OUTPUT_MAX + 1);
	seen->sched = calloc(1, OUTPUT_MAX + 1);
	seen->com2_out = calloc(1, OUTPUT_MAX + 1);
	channel__init(&seen->channel, on_frame, seen);
	ASSERT_EQ(0, com2__init(&seen->com2, on_com2, seen));
	self->shared = mmap(NULL, sizeof(*self->shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->shared);
	self->report_fd =
		mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->report_fd);
}

FIXTURE_TEARDOWN(init)
{
	channel__destroy(&self->seen.channel);
	com2__destroy(&self->seen.com2);
	free(self->seen.out);
	free(self->seen.err);
	free(self->seen.sched);
	free(self->seen.com2_out);
	if (self->dir[0]) {
		umount2(self->dir, MNT_DETACH);
		rmdir(self->dir);
	}
}

static void put(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "w");
	fputs(text, file);
	fclose(file);
}

static int report_fd; /* of the body that runs in this process */

/* PID 1 of the new namespace. */
static void __attribute__((noreturn))
be_pid1(FIXTURE_DATA(init) * self, const char *records, size_t length, int port, int com2)
{
	struct guest_config config;
	struct init_params params = {
		.config = &config,
		.shared = self->shared,
		.port = port,
		.uevents = -1,
		.terminal = -1,
		.scx_dir = self->dir,
		.drain_ms = self->drain_ms,
		.report_fd = self->report_fd,
		.kmsg = self->log[0] ? self->log : NULL,
	};
	char *text = malloc(length), why[256];
	struct coverage coverage;

	dup2(com2, 1);
	dup2(com2, 2);
	memcpy(text, records, length);
	if (mount("proc", "/proc", "proc", 0, NULL) ||
	    guest_config__parse(text, length, &config, why, sizeof(why)))
		_exit(99);
	if (self->with_coverage) {
		if (coverage__start(&coverage, &fake_profile_runtime))
			_exit(97);
		params.coverage = &coverage;
	}
	fake_profile__count(0);
	if (init__run(&params) == INIT_IN_TEST) {
		report_fd = *self->report_fd;
		self->body(self->shared);
		_exit(98);
	}
	_exit(0);
}

/* Uses what the body has lent, if it has; what PID 1 makes of it wakes this process again. */
static void use_lent(struct _test_data_init *self)
{
	struct ktstr_stimulus_payload stimulus = {.step = 1};
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};

	if (!self->lender)
		return;
	if (!self->lent && recvmsg(self->lender, &message, MSG_DONTWAIT) == 1)
		memcpy(&self->lent, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(self->lent));
	if (self->lent)
		report__send(self->lent, KTSTR_FRAME_STIMULUS, &stimulus, sizeof(stimulus), NULL,
			     0);
}

static void run(struct __test_metadata *_metadata, FIXTURE_DATA(init) * self, const char *records,
		size_t length, bool with_port)
{
	int port[2], com2[2], status;
	struct pollfd fds[2];
	char *buf = malloc(65536);
	pid_t pid;

	ASSERT_EQ(0, pipe(port));
	ASSERT_EQ(0, pipe(com2));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		be_pid1(self, records, length, with_port ? port[1] : -1, com2[1]);
	close(port[1]);
	close(com2[1]);
	fds[0] = (struct pollfd){.fd = port[0], .events = POLLIN};
	fds[1] = (struct pollfd){.fd = com2[0], .events = POLLIN};
	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		poll(fds, 2, -1);
		for (int i = 0; i < 2; i++) {
			ssize_t n;

			if (!fds[i].revents)
				continue;
			n = read(fds[i].fd, buf, 65536);
			if (n <= 0)
				fds[i].fd = -1;
			else if (i == 0)
				channel__feed(&self->seen.channel, buf, (size_t)n);
			else
				com2__feed(&self->seen.com2, buf, (size_t)n);
			if (self->pause_us)
				usleep(self->pause_us);
			use_lent(self);
		}
	}
	channel__end(&self->seen.channel);
	com2__end(&self->seen.com2);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status) TH_LOG("%s", self->seen.com2.log);
	EXPECT_FALSE(channel__broken(&self->seen.channel));
	free(buf);
}

#define RUN(records) run(_metadata, self, records, sizeof(records) - 1, true)
#define RUN_BY_COM2(records) run(_metadata, self, records, sizeof(records) - 1, false)

static void skipping_body(struct guest_shared *shared)
{
	strcpy(shared->skip, "needs more");
	shared->skip_length = 10;
	printf("to stdout");
	fprintf(stderr, "to stderr");
	fflush(stdout);
	_exit(4);
}

TEST_F(init, test_child_goes_on_to_main_and_its_result_comes_back)
{
	self->body = skipping_body;
	RUN("role=test\0argv=t\0");
	EXPECT_STREQ("LIFE1 LIFE4 LIFE5 TEST LIFE6 EXIT ", self->seen.order);
	EXPECT_STREQ("to stdout", self->seen.out);
	EXPECT_STREQ("to stderr", self->seen.err);
	EXPECT_EQ(4, self->seen.test.exit_code);
	EXPECT_EQ(0, self->seen.test.signal);
	EXPECT_STREQ("needs more", self->seen.skip);
	EXPECT_EQ(4, self->seen.exit_code);
}

TEST_F(init, a_signal_is_reported_as_a_signal)
{
	RUN("role=command\0argv=sh\0argv=-c\0argv=kill -SEGV $$\0");
	EXPECT_EQ(SIGSEGV, self->seen.test.signal);
	EXPECT_EQ(128 + SIGSEGV, self->seen.exit_code);
}

TEST_F(init, a_missing_command_is_127_and_named)
{
	RUN("role=command\0argv=/no/such\0");
	EXPECT_EQ(127, self->seen.exit_code);
	EXPECT_STREQ("ktstr: /no/such: No such file or directory\n", self->seen.err);
}

TEST_F(init, environment_and_directory_are_as_configured)
{
	RUN("role=command\0argv=sh\0argv=-c\0argv=echo $A $PWD\0env=A=b c\0cwd=/proc\0");
	EXPECT_STREQ("b c /proc\n", self->seen.out);
}

TEST_F(init, all_output_comes_before_the_result_and_nothing_outlives_the_test)
{
	/* a daemon in a session of its own holds the pipe for ever */
	RUN("role=command\0argv=sh\0argv=-c\0"
	    "argv=setsid sh -c 'trap \"\" HUP TERM; while :; do sleep 1000; done' & "
	    "head -c 3000000 /dev/zero | tr '\\0' x; echo end\0");
	EXPECT_EQ(3000004, self->seen.lengths[1]);
	EXPECT_STREQ("end\n", self->seen.out + 3000000);
	EXPECT_EQ(NULL, strstr(self->seen.com2.log, "cannot be killed"));
	EXPECT_STREQ("LIFE1 LIFE4 LIFE5 TEST LIFE6 EXIT ", self->seen.order);
	EXPECT_EQ(0, self->seen.exit_code);
}

TEST_F(init, output_is_not_lost_to_a_host_that_reads_slowly)
{
	self->drain_ms = 50;
	self->pause_us = 50000;
	RUN("role=command\0argv=sh\0argv=-c\0"
	    "argv=head -c 900000 /dev/zero | tr '\\0' x; echo end; echo end >&2\0");
	EXPECT_EQ(900004, self->seen.lengths[1]);
	EXPECT_STREQ("end\n", self->seen.out + 900000);
	EXPECT_STREQ("end\n", self->seen.err);
	EXPECT_EQ(NULL, strstr(self->seen.com2.log, "cannot be killed"));
	EXPECT_EQ(0, self->seen.exit_code);
}

/* A scheduler that attaches at once and detaches when it is told to end. */
#define ATTACH "cd $DIR; mkdir root; echo sim >root/ops; echo enabled >state; echo 1 >enable_seq; "
#define DETACH "rm -r root; echo disabled >state; "
#define SCHEDULER(script) "scheduler=sh\0scheduler_arg=-c\0scheduler_arg=" script "\0"

static void prepare_scx(FIXTURE_DATA(init) * self)
{
	put(self->dir, "state", "disabled\n");
	put(self->dir, "enable_seq", "0\n");
	setenv("DIR", self->dir, 1);
}

static struct sockaddr_un lender_address(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/lender", getenv("DIR"));
	return address;
}

/* Gives its way to PID 1 to a process that PID 1 cannot kill, being outside of its namespace. */
static void lending_body(struct guest_shared *shared)
{
	struct iovec iov = {(char[]){"x"}, 1};
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	struct sockaddr_un address = lender_address();

	(void)shared;
	message.msg_name = &address;
	message.msg_namelen = sizeof(address);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &report_fd, sizeof(report_fd));
	if (sendmsg(socket(AF_UNIX, SOCK_DGRAM, 0), &message, 0) < 0)
		_exit(10);
	printf("lent"); /* wakes the host */
	fflush(stdout);
	_exit(0);
}

TEST_F(init, no_frame_of_the_test_comes_behind_its_end)
{
	struct sockaddr_un address;

	prepare_scx(self);
	address = lender_address();
	self->lender = socket(AF_UNIX, SOCK_DGRAM, 0);
	ASSERT_EQ(0, bind(self->lender, (struct sockaddr *)&address, sizeof(address)));
	self->pause_us = 10000;
	self->body = lending_body;
	self->drain_ms = 100;
	RUN(SCHEDULER("trap 'sleep 0.5; " DETACH "exit 0' TERM; " ATTACH
		      "while :; do sleep 0.1; done") "role=test\0argv=t\0");
	ASSERT_NE(NULL, strstr(self->seen.order, "LIFE4 STIM "));
	EXPECT_STREQ("LIFE5 TEST SCDX LIFE6 EXIT ", strstr(self->seen.order, "LIFE5 "));
	EXPECT_EQ(0, self->seen.exit_code);
}

/* Says so in @pipe when the first thread has ended. */
static void *last_thread(void *pipe)
{
	char stat[256] = "", *state;

	do {
		int fd = open("/proc/self/stat", O_RDONLY);

		if (read(fd, stat, sizeof(stat) - 1) < 0)
			_exit(1);
		close(fd);
		state = strrchr(stat, ')');
	} while (!state || state[2] != 'Z');
	if (write(((int *)pipe)[1], "x", 1) != 1)
		_exit(1);
	for (;;)
		pause();
	return NULL;
}

/* A process whose first thread has ended is a zombie to look at, and lives. */
static void leaderless_body(struct guest_shared *shared)
{
	static int ends[2];
	pthread_t thread;
	char byte;

	(void)shared;
	if (pipe(ends))
		_exit(10);
	if (!fork()) {
		pthread_create(&thread, NULL, last_thread, ends);
		pthread_exit(NULL);
	}
	_exit(read(ends[0], &byte, 1) != 1);
}

TEST_F(init, a_process_without_its_first_thread_does_not_outlive_the_test)
{
	self->body = leaderless_body;
	RUN("role=test\0argv=t\0");
	EXPECT_EQ(NULL, strstr(self->seen.com2.log, "cannot be killed"));
	EXPECT_EQ(0, self->seen.exit_code);
}

/* Each process lives until it has a child: whoever looks at one after the other comes too late. */
#ifdef __SANITIZE_ADDRESS__ /* its processes take long to fork */
#define HOPPERS 8
#else
#define HOPPERS 64
#endif
static void hopping_body(struct guest_shared *shared)
{
	(void)shared;
	for (int i = 0; i < HOPPERS; i++) {
		if (fork())
			continue;
		while (!fork())
			;
		_exit(0);
	}
	_exit(0);
}

TEST_F(init, processes_that_always_are_others_do_not_outlive_the_test)
{
	self->body = hopping_body;
	RUN("role=test\0argv=t\0");
	EXPECT_EQ(NULL, strstr(self->seen.com2.log, "cannot be killed"));
	EXPECT_EQ(0, self->seen.exit_code);
}

static void unmounting_body(struct guest_shared *shared)
{
	(void)shared;
	if (!fork()) {
		setsid();
		for (;;)
			pause();
	}
	_exit(umount2("/proc", MNT_DETACH) ? 10 : 0);
}

TEST_F(init, a_test_that_unmounts_proc_leaves_nothing_behind)
{
	self->body = unmounting_body;
	RUN("role=test\0argv=t\0");
	EXPECT_EQ(NULL, strstr(self->seen.com2.log, "cannot be killed"));
	EXPECT_EQ(0, self->seen.exit_code);
}

#define LARGE (3u << 20)
#define PRINTED 500000u /* more than PID 1 reads at once */

/* Prints and sends, by itself and by a child; then tries what it may not. */
static void reporting_body(struct guest_shared *shared)
{
	static char large[LARGE];
	struct ktstr_stimulus_payload stimulus = {.step = 1};
	struct report_header forged = {.type = KTSTR_FRAME_EXIT, .length = 4};
	char message[12];

	(void)shared;
	memset(large, 'r', sizeof(large));
	fwrite(large, 1, PRINTED, stdout);
	fflush(stdout);
	if (report__send(report_fd, KTSTR_FRAME_STIMULUS, &stimulus, sizeof(stimulus), "x", 1))
		_exit(10);
	printf("after");
	fflush(stdout);
	if (report__send(report_fd, KTSTR_FRAME_RAW_OUTPUT, large, 5, large + 5, LARGE - 5))
		_exit(11);
	if (!fork()) {
		report__send(report_fd, KTSTR_FRAME_PROFRAW, NULL, 0, "p", 1);
		_exit(0);
	}
	wait(NULL);
	if (report__send(report_fd, KTSTR_FRAME_EXIT, "0000", 4, NULL, 0) != -EINVAL ||
	    report__send(report_fd, KTSTR_FRAME_PROFRAW, large, KTSTR_FRAME_MAX_PAYLOAD, "p", 1) !=
		    -EINVAL)
		_exit(12);
	/* past the library: PID 1 looks for itself */
	memcpy(message, &forged, sizeof(forged));
	if (write(report_fd, message, sizeof(message)) != sizeof(message))
		_exit(13);
	forged.type = KTSTR_FRAME_PROFRAW;
	forged.length = 100;
	memcpy(message, &forged, sizeof(forged));
	if (write(report_fd, message, sizeof(message)) != sizeof(message))
		_exit(14);
	if (report__send(report_fd, KTSTR_FRAME_STIMULUS, &stimulus, sizeof(stimulus), "y", 1))
		_exit(15);
	_exit(0);
}

TEST_F(init, frames_of_the_test_come_in_order_and_speak_only_for_it)
{
	self->body = reporting_body;
	RUN("role=test\0argv=t\0");
	EXPECT_STREQ("LIFE1 LIFE4 STIM RAWO PRAW STIM LIFE5 TEST LIFE6 EXIT ", self->seen.order);
	EXPECT_EQ(0, self->seen.test.exit_code);
	EXPECT_LE(PRINTED, self->seen.out_before_frame);
	EXPECT_EQ(PRINTED + 5, self->seen.lengths[1]);
	EXPECT_EQ(LARGE, self->seen.raw_length);
	EXPECT_EQ(0, self->seen.bad_bytes);
	EXPECT_NE(NULL, strstr(self->seen.com2.log, "frame of the test is lost"));
}

/* A memfd that could still change is not taken: PID 1 would map it. */
static void unsealed_body(struct guest_shared *shared)
{
	struct report_header header = {.type = KTSTR_FRAME_PROFRAW, .length = 4};
	struct iovec iov = {&header, sizeof(header)};
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	int fd = memfd_create("frame", 0);

	(void)shared;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	_exit(write(fd, "test", 4) != 4 || sendmsg(report_fd, &message, 0) < 0);
}

TEST_F(init, a_frame_that_could_still_change_is_refused)
{
	self->body = unsealed_body;
	RUN("role=test\0argv=t\0");
	EXPECT_STREQ("LIFE1 LIFE4 LIFE5 TEST LIFE6 EXIT ", self->seen.order);
	EXPECT_EQ(0, self->seen.test.exit_code);
	EXPECT_NE(NULL, strstr(self->seen.com2.log, "frame of the test is lost"));
}

static void counting_body(struct guest_shared *shared)
{
	(void)shared;
	fake_profile__count(1);
	if (!fork()) {
		fake_profile__count(2);
		abort();
	}
	wait(NULL);
	abort();
}

TEST_F(init, one_profile_of_pid_1_and_the_test_comes_before_the_end)
{
	self->body = counting_body;
	self->with_coverage = true;
	RUN("role=test\0argv=t\0");
	EXPECT_STREQ("LIFE1 LIFE4 LIFE5 TEST PRAW LIFE6 EXIT ", self->seen.order);
	EXPECT_EQ(SIGABRT, self->seen.test.signal);
	EXPECT_EQ(1, self->seen.profile[0]);
	EXPECT_EQ(1, self->seen.profile[1]);
	EXPECT_EQ(1, self->seen.profile[2]);
}

TEST_F(init, a_profile_that_is_too_large_is_named_and_breaks_nothing)
{
	self->body = counting_body;
	self->with_coverage = true;
	fake_profile.size = KTSTR_FRAME_MAX_PAYLOAD + 1;
	RUN("role=test\0argv=t\0");
	EXPECT_STREQ("LIFE1 LIFE4 LIFE5 TEST LIFE6 EXIT ", self->seen.order);
	EXPECT_NE(NULL, strstr(self->seen.com2.log, "the profile is lost: File too large"));
}

TEST_F(init, a_profile_has_no_way_without_a_port)
{
	self->body = counting_body;
	self->with_coverage = true;
	RUN_BY_COM2("role=test\0argv=t\0");
	EXPECT_EQ(128 + SIGABRT, self->seen.com2.exit_code);
	EXPECT_NE(NULL, strstr(self->seen.com2.log, "the profile is lost"));
}

TEST_F(init, without_a_port_com2_carries_all)
{
	self->body = skipping_body;
	RUN_BY_COM2("role=test\0argv=t\0");
	EXPECT_TRUE(self->seen.com2.result_ended);
	EXPECT_TRUE(self->seen.com2.have_exit);
	EXPECT_EQ(4, self->seen.com2.exit_code);
	EXPECT_STREQ("needs more", self->seen.com2.skip_reason);
	EXPECT_NE(NULL, strstr(self->seen.com2_out, "to stdout"));
	EXPECT_NE(NULL, strstr(self->seen.com2_out, "to stderr"));
	EXPECT_EQ(18, strlen(self->seen.com2_out));
	EXPECT_EQ(0, self->seen.channel.frames);
}

TEST_F(init, scheduler_is_attached_before_the_test_and_stopped_after_it)
{
	prepare_scx(self);
	RUN(SCHEDULER("trap '" DETACH
		      "echo EXIT: unregistered from user space; exit 0' TERM; " ATTACH
		      "while :; do sleep 0.1; done") "role=command\0argv=sh\0argv=-c\0argv=cat "
						     "$DIR/state\0");
	EXPECT_STREQ("LIFE1 LIFE2 LIFE3 LIFE4 LIFE5 TEST SCDX LIFE6 EXIT ", self->seen.order);
	EXPECT_STREQ("enabled\n", self->seen.out);
	EXPECT_STREQ("sim", self->seen.ops);
	EXPECT_EQ(KTSTR_SCHED_STOPPED, self->seen.scdx.kind);
	EXPECT_STREQ("exited with code 0; EXIT: unregistered from user space",
		     self->seen.scdx_text);
	EXPECT_EQ(0, self->seen.exit_code);
}

TEST_F(init, scheduler_that_the_test_has_stopped_still_ends_as_it_should)
{
	prepare_scx(self);
	RUN(SCHEDULER(
		"trap '" DETACH "echo EXIT: unregistered from user space; exit 0' TERM; " ATTACH
		"echo $$ >pid; while :; do sleep 0.1; done") "role=command\0argv=sh\0argv=-c\0"
							     "argv=until [ -s $DIR/pid ]; do sleep "
							     "0.1; "
							     "done; kill -STOP $(cat $DIR/pid)\0");
	EXPECT_STREQ("LIFE1 LIFE2 LIFE3 LIFE4 LIFE5 TEST SCDX LIFE6 EXIT ", self->seen.order);
	EXPECT_STREQ("exited with code 0; EXIT: unregistered from user space",
		     self->seen.scdx_text);
}

TEST_F(init, the_last_words_of_a_scheduler_are_not_lost_to_a_host_that_reads_slowly)
{
	prepare_scx(self);
	self->pause_us = 200000;
	RUN(SCHEDULER("trap '" DETACH "head -c 900000 /dev/zero | tr \"\\\\0\" x; echo;"
		      "echo EXIT: unregistered from user space; exit 0' TERM; " ATTACH
		      "while :; do sleep 0.1; done") "role=command\0argv=true\0");
	EXPECT_EQ(900001 + strlen("EXIT: unregistered from user space\n"), self->seen.lengths[3]);
	EXPECT_STREQ("exited with code 0; EXIT: unregistered from user space",
		     self->seen.scdx_text);
}

TEST_F(init, scheduler_that_exits_first_is_not_attached)
{
	prepare_scx(self);
	RUN(SCHEDULER("echo failed to load >&2; exit 3") "role=command\0argv=true\0");
	EXPECT_STREQ("LIFE1 LIFE2 SCDX LIFE6 EXIT ", self->seen.order);
	EXPECT_EQ(KTSTR_SCHED_NOT_ATTACHED, self->seen.scdx.kind);
	EXPECT_EQ(3, self->seen.scdx.exit_code);
	EXPECT_STREQ("before it was attached: exited with code 3; its last line: failed to load",
		     self->seen.scdx_text);
	EXPECT_STREQ("failed to load\n", self->seen.sched);
	EXPECT_NE(0, self->seen.exit_code);
}

TEST_F(init, scheduler_that_gives_no_sign_is_not_attached)
{
	prepare_scx(self);
	RUN(SCHEDULER("sleep 1000") "attach_timeout_ms=150\0role=command\0argv=true\0");
	EXPECT_EQ(KTSTR_SCHED_NOT_ATTACHED, self->seen.scdx.kind);
	EXPECT_EQ(1, self->seen.scdx.still_alive);
	EXPECT_STREQ(
		"not attached within 150 ms: state disabled, enable_seq 0 (0 before), ops (none)",
		self->seen.scdx_text);
	EXPECT_STREQ("LIFE1 LIFE2 SCDX LIFE6 EXIT ", self->seen.order);
}

TEST_F(init, scheduler_of_another_name_is_not_attached)
{
	prepare_scx(self);
	RUN(SCHEDULER(
		"trap '" DETACH "exit 0' TERM; " ATTACH
		"while :; do sleep 0.1; done") "scheduler_ops=other\0role=command\0argv=true\0");
	EXPECT_EQ(KTSTR_SCHED_NOT_ATTACHED, self->seen.scdx.kind);
	EXPECT_STREQ("attached as \"sim\", but the test asks for \"other\"", self->seen.scdx_text);
}

TEST_F(init, kernel_without_sched_ext_is_named)
{
	RUN(SCHEDULER("true") "role=command\0argv=true\0");
	EXPECT_STREQ("LIFE1 SCDX LIFE6 EXIT ", self->seen.order);
	EXPECT_EQ(KTSTR_SCHED_NOT_ATTACHED, self->seen.scdx.kind);
	EXPECT_NE(NULL, strstr(self->seen.scdx_text, "CONFIG_SCHED_CLASS_EXT"));
}

TEST_F(init, scheduler_that_exits_during_the_test_ends_it)
{
	prepare_scx(self);
	RUN(SCHEDULER(
		ATTACH
		"while [ ! -e go ]; do sleep 0.1; done; " DETACH
		"echo 'EXIT: unregistered from BPF (bye)'; exit 2") "role=command\0argv=sh\0argv=-"
								    "c\0argv=echo before; touch "
								    "$DIR/go; sleep 1000\0");
	EXPECT_STREQ("LIFE1 LIFE2 LIFE3 LIFE4 SCDX LIFE5 LIFE6 EXIT ", self->seen.order);
	EXPECT_EQ(KTSTR_SCHED_EXITED, self->seen.scdx.kind);
	EXPECT_EQ(2, self->seen.scdx.exit_code);
	EXPECT_NE(NULL, strstr(self->seen.scdx_text,
			       "exited with code 2; EXIT: unregistered from BPF (bye)"));
	EXPECT_STREQ("before\n", self->seen.out);
	EXPECT_NE(0, self->seen.exit_code);
}

/* What is in the directory and in a scheduler's report all comes with the frame. */
TEST_F(init, the_end_of_a_scheduler_comes_with_all_that_is_known)
{
	prepare_scx(self);
	put(self->dir, "hotplug_seq", "3\n");
	put(self->dir, "nr_rejected", "5\n");
	RUN(SCHEDULER(ATTACH
		      "while [ ! -e go ]; do sleep 0.1; done; " DETACH
		      "echo; echo DEBUG DUMP; echo =============================; echo;"
		      "echo 'CPU 0'; echo; echo =============================; echo;"
		      "echo 'EXIT: runnable task stall (a[1] failed) on CPU 2'; exit "
		      "1") "role=command\0argv=sh\0argv=-c\0argv=touch $DIR/go; sleep 1000\0");
	EXPECT_TRUE(self->seen.scdx_is_whole);
	EXPECT_EQ(KTSTR_SCX_EXIT_ERROR_STALL, self->seen.scdx.scx_kind);
	EXPECT_EQ(2, self->seen.scdx.scx_cpu);
	EXPECT_STREQ("runnable task stall", self->seen.reason);
	EXPECT_STREQ("a[1] failed", self->seen.message);
	EXPECT_STREQ("CPU 0", self->seen.dump);
	EXPECT_STREQ("", self->seen.events);
	EXPECT_EQ(1, self->seen.scdx.enable_seq);
	EXPECT_EQ(3, self->seen.scdx.hotplug_seq);
	EXPECT_EQ(5, self->seen.scdx.nr_rejected);
}

TEST_F(init, events_are_those_at_the_end_of_the_test)
{
	prepare_scx(self);
	/* of a scheduler before this one */
	snprintf(self->log, sizeof(self->log), "%s/log", self->dir);
	put(self->dir, "log",
	    "3,1,1,-;sched_ext: BPF scheduler \"sim\" disabled (runtime error)\n");
	RUN(SCHEDULER(
		"trap '" DETACH "exit 0' TERM; " ATTACH
		"while :; do sleep 0.1; done") "role=command\0argv=sh\0argv=-c\0argv=echo EV 4 "
					       ">$DIR/root/events\0");
	EXPECT_EQ(KTSTR_SCHED_STOPPED, self->seen.scdx.kind);
	EXPECT_STREQ("EV 4\n", self->seen.events);
	EXPECT_EQ(KTSTR_SCX_EXIT_NONE, self->seen.scdx.scx_kind);
	EXPECT_EQ(-1, self->seen.scdx.hotplug_seq);
}

/* What the kernel does to a scheduler after the test's last instruction is no pass either. */
TEST_F(init, a_scheduler_that_fails_while_it_is_stopped_is_no_pass)
{
	prepare_scx(self);
	snprintf(self->log, sizeof(self->log), "%s/log", self->dir);
	put(self->dir, "log", "");
	RUN(SCHEDULER("trap '" DETACH "echo \"3,2,2,-;sched_ext: BPF scheduler \\\"sim\\\" "
		      "disabled (runtime error)\" >>log;"
		      "exit 0' TERM; " ATTACH
		      "while :; do sleep 0.1; done") "role=command\0argv=true\0");
	EXPECT_EQ(0, self->seen.test.exit_code);
	EXPECT_EQ(KTSTR_SCHED_EXITED, self->seen.scdx.kind);
	EXPECT_EQ(KTSTR_SCX_EXIT_ERROR, self->seen.scdx.scx_kind);
	EXPECT_EQ(1, self->seen.exit_code);
}

TEST_F(init, a_scheduler_that_crashes_while_it_is_stopped_is_no_pass)
{
	prepare_scx(self);
	RUN(SCHEDULER("trap '" DETACH "kill -SEGV $$' TERM; " ATTACH
		      "while :; do sleep 0.1; done") "role=command\0argv=true\0");
	EXPECT_EQ(KTSTR_SCHED_EXITED, self->seen.scdx.kind);
	EXPECT_EQ(SIGSEGV, self->seen.scdx.signal);
	EXPECT_EQ(1, self->seen.exit_code);
}

TEST_F(init, a_scheduler_that_stays_attached_after_its_end_is_no_pass)
{
	prepare_scx(self);
	RUN(SCHEDULER("trap 'exit 0' TERM; " ATTACH
		      "while :; do sleep 0.1; done") "role=command\0argv=true\0");
	EXPECT_EQ(0, self->seen.test.exit_code);
	EXPECT_EQ(KTSTR_SCHED_EXITED, self->seen.scdx.kind);
	EXPECT_STREQ("still attached after its end: exited with code 0", self->seen.scdx_text);
	EXPECT_EQ(1, self->seen.exit_code);
}

/* The log is also open to programs; the facility of their lines is not the kernel's. */
TEST_F(init, what_a_program_writes_to_the_log_is_not_the_kernels_word)
{
	prepare_scx(self);
	snprintf(self->log, sizeof(self->log), "%s/log", self->dir);
	put(self->dir, "log", "");
	RUN(SCHEDULER(
		"trap '" DETACH "exit 0' TERM; " ATTACH
		"while :; do sleep 0.1; done") "role=command\0argv=sh\0argv=-c\0"
					       "argv=echo '12,2,2,-;sched_ext: BPF scheduler "
					       "\"sim\" disabled (runtime error)' >>$DIR/log\0");
	EXPECT_EQ(KTSTR_SCHED_STOPPED, self->seen.scdx.kind);
	EXPECT_EQ(KTSTR_SCX_EXIT_NONE, self->seen.scdx.scx_kind);
	EXPECT_EQ(0, self->seen.exit_code);
}

/* A scheduler that is killed says nothing; one that lies is found out. */
TEST_F(init, the_kernels_log_is_believed_rather_than_the_scheduler)
{
	prepare_scx(self);
	snprintf(self->log, sizeof(self->log), "%s/log", self->dir);
	put(self->dir, "log",
	    "6,1,1,-;sched_ext: BPF scheduler \"sim\" disabled (disabled by sysrq-S)\n");
	RUN(SCHEDULER(ATTACH "while [ ! -e go ]; do sleep 0.1; done; " DETACH
			     "echo '3,2,2,-;sched_ext: BPF scheduler \"sim\" disabled (runtime "
			     "error)' >>log; echo '3,3,2,-;sched_ext: sim: bad DSQ' >>log;"
			     "kill -KILL $$") "role=command\0argv=sh\0argv=-c\0argv=touch $DIR/go; "
					      "sleep 1000\0");
	EXPECT_EQ(KTSTR_SCX_EXIT_ERROR, self->seen.scdx.scx_kind);
	EXPECT_STREQ("bad DSQ", self->seen.message);
	EXPECT_STREQ("killed by signal 9 (Killed); the kernel says: runtime error (bad DSQ)",
		     self->seen.scdx_text);
}

TEST_F(init, a_scheduler_that_lies_about_its_end_is_found_out)
{
	prepare_scx(self);
	snprintf(self->log, sizeof(self->log), "%s/log", self->dir);
	put(self->dir, "log", "");
	RUN(SCHEDULER(ATTACH
		      "while [ ! -e go ]; do sleep 0.1; done; " DETACH
		      "echo '3,2,2,-;sched_ext: BPF scheduler \"sim\" disabled (runtime "
		      "error)' >>log; echo 'EXIT: unregistered from user space'; exit "
		      "0") "role=command\0argv=sh\0argv=-c\0argv=touch $DIR/go; sleep 1000\0");
	EXPECT_EQ(KTSTR_SCX_EXIT_ERROR, self->seen.scdx.scx_kind);
	EXPECT_STREQ("runtime error", self->seen.reason);
}

TEST_F(init, scheduler_that_exits_while_the_test_prints_without_end_ends_it)
{
	prepare_scx(self);
	RUN(SCHEDULER(
		ATTACH
		"while [ ! -e go ]; do sleep 0.1; done; " DETACH
		"echo 'EXIT: unregistered from BPF (bye)'; exit 2") "role=command\0argv=sh\0"
								    "argv=-c\0argv=touch $DIR/go; "
								    "yes & yes >&2\0");
	EXPECT_STREQ("LIFE1 LIFE2 LIFE3 LIFE4 SCDX LIFE5 LIFE6 EXIT ", self->seen.order);
	EXPECT_EQ(KTSTR_SCHED_EXITED, self->seen.scdx.kind);
	EXPECT_NE(NULL, strstr(self->seen.scdx_text, "unregistered from BPF (bye)"));
	EXPECT_EQ(NULL, strstr(self->seen.com2.log, "cannot be killed"));
}

TEST_F(init, scheduler_that_the_kernel_detached_ends_the_test)
{
	prepare_scx(self);
	RUN(SCHEDULER(ATTACH
		      "while [ ! -e go ]; do sleep 0.1; done; " DETACH "sleep 0.5;"
		      "echo 'EXIT: runnable task stall (x)'; exit 0") "role=command\0argv=sh\0argv="
								      "-c\0argv=touch $DIR/go; "
								      "sleep 1000\0");
	EXPECT_EQ(KTSTR_SCHED_EXITED, self->seen.scdx.kind);
	EXPECT_STREQ("detached, then exited with code 0; EXIT: runnable task stall (x)",
		     self->seen.scdx_text);
	EXPECT_STREQ("LIFE1 LIFE2 LIFE3 LIFE4 SCDX LIFE5 LIFE6 EXIT ", self->seen.order);
}

TEST_F(init, scheduler_lost_at_the_very_end_of_the_test_counts)
{
	prepare_scx(self);
	RUN(SCHEDULER(
		ATTACH
		"while [ -e root ]; do sleep 0.1; done; exit 0") "role=command\0argv=sh\0argv=-"
								 "c\0argv=cd $DIR; echo disabled "
								 ">state; rm -r root\0");
	EXPECT_EQ(KTSTR_SCHED_EXITED, self->seen.scdx.kind);
	EXPECT_STREQ("LIFE1 LIFE2 LIFE3 LIFE4 SCDX LIFE5 LIFE6 EXIT ", self->seen.order);
}

TEST_F(init, scheduler_that_is_killed_is_reported_as_killed)
{
	prepare_scx(self);
	RUN(SCHEDULER(ATTACH "while [ ! -e go ]; do sleep 0.1; done; " DETACH
			     "kill -KILL $$") "role=command\0argv=sh\0argv=-c\0argv=touch $DIR/go; "
					      "sleep 1000\0");
	EXPECT_EQ(KTSTR_SCHED_EXITED, self->seen.scdx.kind);
	EXPECT_EQ(SIGKILL, self->seen.scdx.signal);
	EXPECT_STREQ("killed by signal 9 (Killed)", self->seen.scdx_text);
}

TEST_F(init, scheduler_loss_by_com2_has_its_line)
{
	prepare_scx(self);
	RUN_BY_COM2(SCHEDULER("echo no; exit 1") "role=command\0argv=true\0");
	EXPECT_EQ(KTSTR_SCHED_NOT_ATTACHED, self->seen.com2.sched_kind);
	EXPECT_NE(NULL, strstr(self->seen.com2.sched_text, "exited with code 1"));
	EXPECT_NE(NULL, strstr(self->seen.com2.log, "ktstr-init: scheduler: no\n"));
	EXPECT_EQ(1, self->seen.com2.exit_code);
}

TEST_HARNESS_MAIN

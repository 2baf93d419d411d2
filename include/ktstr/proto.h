/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What host and guest say to each other: frames on virtio-console port 1, sentinels on COM2, and
 * the configuration file that the host puts into the initramfs. Everything is little-endian.
 */
#ifndef KTSTR_PROTO_H
#define KTSTR_PROTO_H

#include <stdint.h>

/* ---- Frames: struct ktstr_frame_header, then @length bytes of payload ---- */

#define KTSTR_FOURCC(a, b, c, d) \
	((uint32_t)(a) | ((uint32_t)(b) << 8) | ((uint32_t)(c) << 16) | ((uint32_t)(d) << 24))

#define KTSTR_FRAME_MAGIC KTSTR_FOURCC('K', 'T', 'L', 'V')
#define KTSTR_FRAME_MAX_PAYLOAD (16u << 20)

struct ktstr_frame_header {
	uint32_t magic;	   /* KTSTR_FRAME_MAGIC */
	uint32_t type;	   /* enum ktstr_frame_type */
	uint32_t sequence; /* 0, 1, 2, ... per boot; wraps */
	uint32_t length;   /* payload bytes, at most KTSTR_FRAME_MAX_PAYLOAD */
	uint32_t crc;	   /* CRC-32 (zlib) over type, sequence, length and payload */
};

enum ktstr_frame_type {
	KTSTR_FRAME_SCENARIO_START = KTSTR_FOURCC('S', 'C', 'S', 'T'),
	KTSTR_FRAME_SCENARIO_END = KTSTR_FOURCC('S', 'C', 'E', 'N'),
	KTSTR_FRAME_TEST_RESULT = KTSTR_FOURCC('T', 'E', 'S', 'T'),
	KTSTR_FRAME_EXIT = KTSTR_FOURCC('E', 'X', 'I', 'T'),
	KTSTR_FRAME_STIMULUS = KTSTR_FOURCC('S', 'T', 'I', 'M'),
	KTSTR_FRAME_SCHED_EXIT = KTSTR_FOURCC('S', 'C', 'D', 'X'),
	KTSTR_FRAME_PROFRAW = KTSTR_FOURCC('P', 'R', 'A', 'W'),
	KTSTR_FRAME_PAYLOAD_METRICS = KTSTR_FOURCC('P', 'M', 'E', 'T'),
	KTSTR_FRAME_RAW_OUTPUT = KTSTR_FOURCC('R', 'A', 'W', 'O'),
	KTSTR_FRAME_LIFECYCLE = KTSTR_FOURCC('L', 'I', 'F', 'E'),
	KTSTR_FRAME_OUTPUT = KTSTR_FOURCC('O', 'U', 'T', 'P'),
};

/* LIFE: where PID 1 is. Steps come in this order; those of a scheduler only when there is one. */
enum ktstr_life_step {
	KTSTR_LIFE_INIT = 1,	       /* first frame: port 1 is open; detail: uname -r */
	KTSTR_LIFE_SCHED_STARTED = 2,  /* /scheduler was forked */
	KTSTR_LIFE_SCHED_ATTACHED = 3, /* detail: root/ops */
	KTSTR_LIFE_TEST_STARTED = 4,
	KTSTR_LIFE_TEST_ENDED = 5,
	KTSTR_LIFE_REBOOT = 6, /* last frame but EXIT: nothing more comes */
};

struct ktstr_life_payload {
	uint32_t step;	   /* enum ktstr_life_step */
	uint32_t reserved; /* 0 */
	uint64_t boot_ns;  /* guest CLOCK_BOOTTIME */
			   /* then a UTF-8 detail, not terminated */
};

enum ktstr_output_stream {
	KTSTR_STREAM_STDOUT = 1,    /* of the test or command */
	KTSTR_STREAM_STDERR = 2,    /* of the test or command */
	KTSTR_STREAM_SCHEDULER = 3, /* both streams of /scheduler */
	KTSTR_STREAM_KERNEL = 4,    /* the kernel's log, once, after the test */
};

struct ktstr_output_payload {
	uint32_t stream; /* enum ktstr_output_stream */
			 /* then the bytes */
};

/* TEST: how the test body (or the command of `ktstr run`) ended. */
struct ktstr_test_payload {
	uint32_t signal;    /* terminating signal, 0 when it exited */
	uint32_t exit_code; /* 0-255, when signal is 0 */
			    /* then SKIP()'s reason, UTF-8, not terminated; may be empty */
};

/*
 * With exit code 4 (KSFT_SKIP), SKIP()'s reason when nothing but measured limits was broken, on a
 * host that is disturbed: the verdict is INCONCLUSIVE then. Constant: consumers count it.
 */
#define KTSTR_SKIP_INCONCLUSIVE "INCONCLUSIVE: the host was too disturbed to judge measured limits"

enum ktstr_sched_exit_kind {
	KTSTR_SCHED_NOT_ATTACHED = 1, /* exited or gave no sign before it was attached */
	KTSTR_SCHED_EXITED = 2,	      /* was attached, and ended before the test did */
	KTSTR_SCHED_STOPPED = 3,      /* ended by PID 1 after the test: the normal end */
};

struct ktstr_sched_exit_payload {
	uint32_t kind;	      /* enum ktstr_sched_exit_kind */
	uint32_t signal;      /* terminating signal, 0 when it exited */
	uint32_t exit_code;   /* 0-255, when signal is 0 */
	uint32_t still_alive; /* 1: it had not ended (never attached, or detached by the kernel) */
	uint64_t boot_ns;     /* when PID 1 noticed */
	uint32_t scx_kind;    /* enum ktstr_scx_exit; 0: not known */
	int32_t scx_cpu;      /* that caused the end; -1: not known */
	/* Bytes of the texts that follow, in this order; UTF-8, not terminated. */
	uint32_t text_length;	 /* one line: what PID 1 saw */
	uint32_t reason_length;	 /* the kernel's words for scx_kind */
	uint32_t message_length; /* the details to it */
	uint32_t events_length;	 /* root/events */
	uint32_t dump_length;	 /* the debug dump */
	uint32_t reserved;	 /* 0 */
	/* /sys/kernel/sched_ext; -1: not there */
	int64_t enable_seq, hotplug_seq, nr_rejected;
};

/* Most bytes of each: what a kernel writes (SCX_EXIT_MSG_LEN and the like), what is more is cut. */
#define KTSTR_SCX_REASON_MAX 127u
#define KTSTR_SCX_MESSAGE_MAX 1023u
#define KTSTR_SCX_EVENTS_MAX 4095u
#define KTSTR_SCX_DUMP_MAX (64u << 10)

/* SCST, SCEN: a scenario of the test begins or ends. The pairs do not nest. */
struct ktstr_scenario_payload {
	uint64_t boot_ns;   /* guest CLOCK_BOOTTIME */
	uint32_t exit_code; /* SCEN: how it ended, as a kselftest exits; SCST: 0 */
	uint32_t reserved;  /* 0 */
			    /* then its name, UTF-8, not terminated */
};

/* STIM: something was done to the system under test. */
struct ktstr_stimulus_payload {
	uint64_t boot_ns;  /* guest CLOCK_BOOTTIME, when it was done */
	uint32_t step;	   /* number of the scenario's step */
	uint32_t reserved; /* 0 */
			   /* then what it was, UTF-8, not terminated */
};

/* RAWO: all that a payload printed, for an extractor on the host. */
struct ktstr_raw_output_payload {
	uint32_t name_length; /* bytes of the payload's name */
	uint32_t reserved;    /* 0 */
			      /* then the name, then the bytes */
};

/* PMET: what one run of a payload came to. */
struct ktstr_metrics_payload {
	uint64_t boot_ns;   /* guest CLOCK_BOOTTIME of its end */
	uint64_t run_ns;    /* from its start to its end */
	uint32_t signal;    /* terminating signal, 0 when it exited */
	uint32_t exit_code; /* 0-255, when signal is 0 */
	uint32_t nr_metrics;
	uint32_t name_length; /* bytes of the payload's name */
			      /* then the name, then the metrics */
};

#define KTSTR_METRIC_TOO_LOW (1u << 0)	/* below its lower limit */
#define KTSTR_METRIC_TOO_HIGH (1u << 1) /* above its upper limit */
#define KTSTR_METRIC_MISSING (1u << 2)	/* declared, but not in the output; @value means nothing */

/* What the payload's author says of it; at most one of them */
#define KTSTR_METRIC_LOWER_IS_BETTER (1u << 3)
#define KTSTR_METRIC_HIGHER_IS_BETTER (1u << 4)

/* One metric. Unaligned in the frame. */
struct ktstr_metric_record {
	double value;	      /* IEEE 754 binary64, as all here */
	double minimum;	      /* NaN: no limit */
	double maximum;	      /* NaN: no limit */
	uint32_t flags;	      /* KTSTR_METRIC_* */
	uint16_t name_length; /* bytes, UTF-8 */
	uint16_t unit_length; /* bytes, UTF-8; 0: none */
			      /* then the name, then the unit */
};

/* PRAW: a profile of clang's source-based coverage (.profraw), whole. */

/* EXIT: the whole run is over and complete. @code is what `ktstr run` exits with. */
struct ktstr_exit_payload {
	uint32_t code;
};

/* ---- Virtio-console ports ---- */

#define KTSTR_PORT_CONSOLE 0u /* /dev/hvc0 */
#define KTSTR_PORT_TLV 1u
#define KTSTR_PORT_PIPE 2u
#define KTSTR_PORTS 3u
/* Names that the device sends (VIRTIO_CONSOLE_PORT_NAME); /sys/class/virtio-ports/.../name. */
#define KTSTR_PORT_TLV_NAME "ktstr.tlv"
#define KTSTR_PORT_PIPE_NAME "ktstr.pipe"

/*
 * ---- COM2: lines of text ----
 * PID 1's own lines begin with KTSTR_COM2_LOG. While port 1 is not open the test's output stands
 * between RESULT_START and RESULT_END, its result follows. A line of the test that begins like any
 * of these gets KTSTR_COM2_ESCAPE before it; a line that is KTSTR_COM2_ESCAPE alone says that the
 * newline before it is not the test's. After PANIC comes the backtrace, innermost first, one line a
 * frame: "#NUMBER FILE+ADDRESS", where FILE is a path of the guest and ADDRESS one of its ELF
 * headers.
 */
#define KTSTR_COM2_RESULT_START "===KTSTR_TEST_RESULT_START==="
#define KTSTR_COM2_RESULT_END "===KTSTR_TEST_RESULT_END==="
#define KTSTR_COM2_SKIP "KTSTR_SKIP="	/* SKIP()'s reason; before the exit code */
#define KTSTR_COM2_SCHED "KTSTR_SCHED=" /* "KIND TEXT", enum ktstr_sched_exit_kind */
#define KTSTR_COM2_EXIT "KTSTR_EXIT="	/* what struct ktstr_exit_payload holds */
#define KTSTR_COM2_MOUNT \
	"KTSTR_MOUNT=" /* before port 1 is open: a disk that cannot be mounted, why */
#define KTSTR_COM2_PANIC "PANIC: "
#define KTSTR_COM2_LOG "ktstr-init: "
#define KTSTR_COM2_ESCAPE "\\"

#define KTSTR_DISTURBED_ENV "KTSTR_DISTURBED"
#define KTSTR_QUIET_ENV "KTSTR_QUIET"

/*
 * ---- /ktstr/config in the initramfs ----
 * A sequence of NUL-terminated "key=value" records; keys marked * may repeat, in order.
 *   role=test|command|shell  test: PID 1's child returns to main(); command: execs argv
 *   argv=...*       command and arguments (role command), or the test's (role test)
 *   env=K=V*        added to the child's environment. KTSTR_DISTURBED_ENV is the host's word on
 *                   itself: why measured limits mean nothing on it; without it, they may.
 *                   KTSTR_QUIET_ENV=1: the machine has all of performance mode, so that limits of a
 *                   quiet host hold
 *   cwd=PATH        the child's working directory, when it exists
 *   scheduler=PATH  program to start first; scheduler_arg=...* its arguments
 *   scheduler_ops=NAME  what /sys/kernel/sched_ext/root/ops must say
 *   attach_timeout_ms=N
 *   hostname=NAME
 *   kernel_log=1    send the kernel's log after a test that passed, too
 *   tty=ROWSxCOLS   role shell: size of the terminal on /dev/hvc0
 *   mount=SERIAL,FS,MODE,PATH*  before the scheduler starts, mount the block device of this serial
 *                   number at PATH, MODE being rw or ro; without it there is no run
 *   stats=1         relay KTSTR_PORT_PIPE to the scheduler's statistics (ktstr/stats.h): a line of
 *                   JSON from the host is a request, one line from the guest is its response
 */
#define KTSTR_GUEST_CONFIG "/ktstr/config"
/* Kernel modules of the base, one path a line in load order; written by initramfs/. */
#define KTSTR_GUEST_MODULES "/ktstr/modules"

/*
 * ---- A base on a disk ----
 * The archive then has a first program as /init, which mounts the block device of this serial
 * number (erofs) under a writable layer, brings KTSTR_GUEST_CONFIG there and executes its /init. It
 * says on the console (COM1) in one line why it could not: KTSTR_STAGE1_LOG, then the reason.
 */
#define KTSTR_BASE_SERIAL "ktstr-base"
#define KTSTR_STAGE1_LOG "ktstr-stage1: "

#endif /* KTSTR_PROTO_H */

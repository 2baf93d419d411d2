/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Each test in a virtual machine of its own, over the kernel's kselftest_harness.h.
 *
 *	#include <ktstr/harness.h>
 *
 *	KTSTR_TEST(two_llcs_share, .topology = TOPO(1, 2, 2, 1), .scheduler = "scx_simple")
 *	{
 *		ASSERT_EQ(4, sysconf(_SC_NPROCESSORS_ONLN));
 *	}
 *
 *	KTSTR_HARNESS_MAIN
 *
 * TEST, TEST_F, FIXTURE and everything else of kselftest work as everywhere; a test that declares
 * nothing gets a machine with the defaults. The body, and a fixture's setup and teardown, run in
 * the guest only. All of a test's output comes out on stdout as TAP diagnostics, in one order:
 * consumers read stdout alone, and an assertion is worth little apart from the lines around it.
 *
 * The same binary is the guest's PID 1; its child comes to main() and runs the one test there.
 */
#ifndef KTSTR_HARNESS_H
#define KTSTR_HARNESS_H

#ifdef __KSELFTEST_HARNESS_H
#error "include <ktstr/harness.h> instead of kselftest_harness.h, or before it"
#endif
#ifndef TH_LOG_STREAM
#define TH_LOG_STREAM stdout
#endif
#include "kselftest_harness.h"

#include <ktstr/guest.h>
#include <ktstr/test.h>

#include <signal.h>

/*
 * What was declared for a test, for a variant of a fixture (@test NULL), for one that declares
 * nothing else (both; @test ""), or for a gauntlet (neither).
 */
struct ktstr_test_record {
	const char *fixture, *variant, *test;
	struct ktstr_test_attrs attrs;
};

/* The linker gathers them: no registration code, no order. */
#define __KTSTR_RECORD(id, fixture_str, variant_str, test_str, ...)          \
	static const struct ktstr_test_record __ktstr_record_##id = {        \
		fixture_str, variant_str, test_str, {__VA_ARGS__}};          \
	static const struct ktstr_test_record *const __ktstr_record_ptr_##id \
		__attribute__((used, section("ktstr_tests"))) = &__ktstr_record_##id

extern const struct ktstr_test_record *const __start_ktstr_tests[]
	__attribute__((weak, visibility("hidden")));
extern const struct ktstr_test_record *const __stop_ktstr_tests[]
	__attribute__((weak, visibility("hidden")));

/* KTSTR_TEST(name, .topology = TOPO(...), ...) { body }: TEST() with declared attributes. */
#define KTSTR_TEST(test_name, ...)                                                   \
	__KTSTR_RECORD(global_##test_name, "global", NULL, #test_name, __VA_ARGS__); \
	TEST(test_name)

/* The same over TEST_SIGNAL(): the body has to end by @signal. */
#define KTSTR_TEST_SIGNAL(test_name, signal, ...)                                    \
	__KTSTR_RECORD(global_##test_name, "global", NULL, #test_name, __VA_ARGS__); \
	TEST_SIGNAL(test_name, signal)

/* KTSTR_TEST_F(fixture, name, attributes...) { body }: TEST_F() with declared attributes. */
#define KTSTR_TEST_F(fixture_name, test_name, ...)                                                \
	__KTSTR_RECORD(fixture_name##_##test_name, #fixture_name, NULL, #test_name, __VA_ARGS__); \
	TEST_F(fixture_name, test_name)

#define KTSTR_TEST_F_SIGNAL(fixture_name, test_name, signal, ...)                                 \
	__KTSTR_RECORD(fixture_name##_##test_name, #fixture_name, NULL, #test_name, __VA_ARGS__); \
	TEST_F_SIGNAL(fixture_name, test_name, signal)

/*
 * KTSTR_FIXTURE_VARIANT_ADD(fixture, variant, attributes...) { the variant's own data };
 * What a variant declares goes before what its tests declare.
 */
#define KTSTR_FIXTURE_VARIANT_ADD(fixture_name, variant_name, ...)                            \
	__KTSTR_RECORD(variant_##fixture_name##_##variant_name, #fixture_name, #variant_name, \
		       NULL, __VA_ARGS__);                                                    \
	FIXTURE_VARIANT_ADD(fixture_name, variant_name)

/*
 * KTSTR_FIXTURE_VARIANT_DEFAULT(fixture, variant, attributes...): what holds for a variant where
 * neither its tests nor KTSTR_FIXTURE_VARIANT_ADD() declare anything else.
 */
#define KTSTR_FIXTURE_VARIANT_DEFAULT(fixture_name, variant_name, ...)                        \
	__KTSTR_RECORD(default_##fixture_name##_##variant_name, #fixture_name, #variant_name, \
		       "", __VA_ARGS__)

/*
 * A test that a program knows of only when it runs, for ktstr_harness__add(): all of it is filled
 * there, and it lies where it is until the process ends.
 */
struct ktstr_added_test {
	struct ktstr_test_record record;
	struct __test_metadata metadata;
	struct ktstr_added_test *next;
};

static struct ktstr_added_test *__ktstr_added __attribute__((unused));

/*
 * Adds test global.@name, with the attributes @attrs, to those of the binary: from main(), before
 * ktstr_harness_main(). @body runs in the guest only. There main() adds tests once more: it has to
 * add ktstr_harness__asked() at least, and of that nothing counts but @body. @name and what @attrs
 * points to live as long as @test.
 */
static inline void ktstr_harness__add(struct ktstr_added_test *test, const char *name,
				      void (*body)(struct __test_metadata *,
						   struct __fixture_variant_metadata *),
				      const struct ktstr_test_attrs *attrs)
{
	test->record = (struct ktstr_test_record){"global", NULL, name, *attrs};
	test->metadata = (struct __test_metadata){.name = name,
						  .fn = body,
						  .fixture = &_fixture_global,
						  .termsig = -1,
						  .timeout = TEST_TIMEOUT_DEFAULT};
	test->next = __ktstr_added;
	__ktstr_added = test;
	__register_test(&test->metadata);
}

/* The name of the one test that the guest is to run; NULL on the host. */
static inline const char *ktstr_harness__asked(void)
{
	int argc;
	char **argv = ktstr_guest__argv(&argc);
	const char *dot = argc > 2 ? strrchr(argv[2], '.') : NULL; /* TEST -r FIXTURE.TEST */

	return dot ? dot + 1 : NULL;
}

/*
 * KTSTR_GAUNTLET(name, attributes...) { body }: the test on each machine of ktstr_presets(), with
 * each of its .profiles. It is a fixture of this name, whose variants are the presets and whose
 * tests are the profiles: -r NAME.PRESET.PROFILE is one of them. In the body, KTSTR_PRESET() is the
 * machine.
 */
#define KTSTR_GAUNTLET(gauntlet_name, ...)                                                  \
	__KTSTR_RECORD(gauntlet__##gauntlet_name, #gauntlet_name, NULL, NULL, __VA_ARGS__); \
	FIXTURE(gauntlet_name)                                                              \
	{                                                                                   \
		char unused;                                                                \
	};                                                                                  \
	FIXTURE_VARIANT(gauntlet_name)                                                      \
	{                                                                                   \
		struct ktstr_preset preset;                                                 \
	};                                                                                  \
	FIXTURE_SETUP(gauntlet_name)                                                        \
	{                                                                                   \
	}                                                                                   \
	FIXTURE_TEARDOWN(gauntlet_name)                                                     \
	{                                                                                   \
	}                                                                                   \
	TEST_F(gauntlet_name, default)

#define KTSTR_PRESET() ((const struct ktstr_preset *)_metadata->variant)

/* In a body: what was declared for it, as struct ktstr_test_attrs. */
#define KTSTR_ATTRS() __ktstr_attrs_of(_metadata)

static inline const struct ktstr_test_record *__ktstr_gauntlet(const char *fixture)
{
	const struct ktstr_test_record *const *at;

	for (at = __start_ktstr_tests; at != __stop_ktstr_tests; at++)
		if (!(*at)->variant && !(*at)->test && !strcmp((*at)->fixture, fixture))
			return *at;
	return NULL;
}

static inline struct ktstr_test_attrs __ktstr_attrs(const char *fixture, const char *variant,
						    const char *test)
{
	const struct ktstr_test_record *gauntlet = __ktstr_gauntlet(fixture);
	const struct ktstr_test_record *const *at;
	struct ktstr_test_attrs attrs = {.memory_mb = 0};
	const struct ktstr_added_test *added;
	int pass;

	for (added = __ktstr_added; added; added = added->next)
		if (!strcmp(added->record.fixture, fixture) && !strcmp(added->record.test, test))
			return added->record.attrs;
	if (gauntlet) {
		attrs = gauntlet->attrs;
		ktstr_gauntlet__apply(&attrs, variant, test);
	}
	/* The variant's defaults, those of the test over them, those of the variant over these. */
	for (pass = 0; pass < 3; pass++) {
		for (at = __start_ktstr_tests; at != __stop_ktstr_tests; at++) {
			const struct ktstr_test_record *r = *at;
			int kind = r->variant ? (r->test ? 0 : 2) : (r->test ? 1 : -1);

			if (kind == pass && !strcmp(r->fixture, fixture) &&
			    (!r->variant || !strcmp(r->variant, variant)) &&
			    (kind != 1 || !strcmp(r->test, test)))
				ktstr_test_attrs__merge(&attrs, &r->attrs);
		}
	}
	return attrs;
}

static inline struct ktstr_test_attrs __ktstr_attrs_of(const struct __test_metadata *metadata)
{
	const struct __fixture_variant_metadata *v = metadata->fixture->variant;

	while (v && v->data != metadata->variant)
		v = v->next;
	return __ktstr_attrs(metadata->fixture->name, v ? v->name : "", metadata->name);
}

/* ---- Gauntlets: on host and guest alike ---- */

/* At the end of a list of kselftest's, whichever way its constructors went. */
#define __KTSTR_APPEND(head, item)              \
	do {                                    \
		__typeof__(item) *at = &(head); \
		while (*at)                     \
			at = &(*at)->next;      \
		*at = (item);                   \
	} while (0)

static inline int __ktstr_add_presets(struct __fixture_metadata *f)
{
	size_t nr, i;
	const struct ktstr_preset *presets = ktstr_presets(&nr);
	struct __fixture_variant_metadata *variants = calloc(nr, sizeof(*variants));

	if (!variants)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		variants[i].name = presets[i].name;
		variants[i].data = &presets[i];
		__KTSTR_APPEND(f->variant, &variants[i]);
	}
	return 0;
}

/* The test that is there stands for the first, and copies of it for the others. */
static inline int __ktstr_add_profiles(struct __fixture_metadata *f,
				       const struct ktstr_profile *profile)
{
	struct __test_metadata *first = f->tests, *copy;

	if (!profile)
		return 0;
	first->name = profile->name;
	for (profile++; profile->name; profile++) {
		copy = mmap(NULL, sizeof(*copy), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			    -1, 0);
		if (copy == MAP_FAILED)
			return -errno;
		*copy = *first;
		copy->name = profile->name;
		copy->next = NULL;
		__KTSTR_APPEND(f->tests, copy);
	}
	return 0;
}

static inline int __ktstr_add_gauntlet(const struct ktstr_test_record *record,
				       struct ktstr_error *error)
{
	struct __fixture_metadata *f = __fixture_list;
	int err;

	while (f && strcmp(f->name, record->fixture))
		f = f->next;
	err = f ? ktstr_gauntlet__check(record->fixture, &record->attrs, error) : -ENOENT;
	if (!err)
		err = __ktstr_add_presets(f);
	if (!err)
		err = __ktstr_add_profiles(f, record->attrs.profiles);
	return err ? ktstr_error__set(error, -err, "gauntlet", record->fixture, NULL) : 0;
}

static inline int __ktstr_add_record(const struct ktstr_test_record *record,
				     struct ktstr_error *error)
{
	if (!record->variant && !record->test)
		return __ktstr_add_gauntlet(record, error);
	if (record->attrs.gauntlet || record->attrs.profiles)
		return ktstr_error__set(error, EINVAL, NULL, record->test ?: record->variant,
					".gauntlet and .profiles are for KTSTR_GAUNTLET()");
	return 0;
}

/* Puts presets and profiles into kselftest's lists, before anything reads them. */
static inline int __ktstr_add_gauntlets(struct ktstr_error *error)
{
	const struct ktstr_test_record *const *at;
	int err = 0;

	for (at = __start_ktstr_tests; at != __stop_ktstr_tests && !err; at++)
		err = __ktstr_add_record(*at, error);
	return err;
}

/* ---- Guest: the child of PID 1 ---- */

/* As __run_test()'s child does it; does not return. */
static inline void __ktstr_guest_run(struct __fixture_variant_metadata *variant,
				     struct __test_metadata *t)
{
	t->results = mmap(NULL, sizeof(*t->results), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t->results == MAP_FAILED) {
		perror("# mmap of the test's results");
		_exit(KSFT_FAIL);
	}
	t->exit_code = KSFT_PASS;
	t->trigger = 0;
	t->aborted = false;
	t->no_teardown = NULL;
	setpgrp();

	t->fn(t, variant);

	if (__test_passed(t) && (ksft_get_fail_cnt() || ksft_get_error_cnt())) {
		ksft_print_msg("Illegal usage of low-level ksft APIs in harness test\n");
		t->exit_code = KSFT_FAIL;
	}
	if (t->results->reason[0])
		ktstr_guest__set_skip_reason(t->results->reason);
	fflush(NULL);
	_exit(t->exit_code);
}

static inline int __ktstr_guest_main(void)
{
	struct __fixture_variant_metadata no_variant = {.name = ""}, *v;
	struct __fixture_metadata *f;
	struct ktstr_error error = {.err = 0};
	struct __test_metadata *t;
	int argc, ret;
	char **argv = ktstr_guest__argv(&argc);

	/*
	 * At once: the body of a TEST_F() ends by _exit(), and others by abort(). Neither may lose
	 * what was printed before, a line without its newline included.
	 */
	setvbuf(stdout, NULL, _IONBF, 0);
	ret = test_harness_argv_check(argc, argv);
	if (ret != KSFT_PASS)
		return ret;
	if (__ktstr_add_gauntlets(&error))
		printf("# %s: %s\n", error.object, strerror(error.err));
	for (f = __fixture_list; f; f = f->next)
		for (v = f->variant ?: &no_variant; v; v = v->next)
			for (t = f->tests; t; t = t->next)
				if (test_enabled(argc, argv, f, v, t))
					__ktstr_guest_run(v, t);
	printf("# the test that the host asked for is not in this binary\n");
	return KSFT_FAIL;
}

/* ---- Host ---- */

/* With --jobs: the tests run elsewhere. kselftest gives a test's function nothing of ours. */
static struct ktstr_jobs *__ktstr_jobs __attribute__((unused));
/* What is selected of gauntlets, with what is to become of it. */
static struct ktstr_gauntlet_run *__ktstr_runs __attribute__((unused));
static size_t __ktstr_nr_runs __attribute__((unused));

static inline struct ktstr_test_id __ktstr_id(const struct __test_metadata *t,
					      const struct __fixture_variant_metadata *variant)
{
	return (struct ktstr_test_id){.fixture = t->fixture->name,
				      .variant = variant->name,
				      .test = t->name,
				      .debug = ksft_debug_enabled,
				      .termsig = t->termsig};
}

/* NULL: the test is of no gauntlet. */
static inline const struct ktstr_gauntlet_run *__ktstr_run_of(const struct ktstr_test_id *id)
{
	size_t i;

	for (i = 0; i < __ktstr_nr_runs; i++)
		if (!strcmp(__ktstr_runs[i].test, id->fixture) &&
		    !strcmp(__ktstr_runs[i].preset->name, id->variant) &&
		    !strcmp(__ktstr_runs[i].profile, id->test))
			return &__ktstr_runs[i];
	return NULL;
}

/* The reason is constant; what differs from machine to machine goes before it. */
static inline void __ktstr_skip(const struct ktstr_gauntlet_run *run,
				struct ktstr_test_outcome *outcome)
{
	char topology[64];

	ktstr_topology__format(&run->preset->topology, topology, sizeof(topology));
	printf("# %s: %s\n", topology, run->why);
	*outcome = (struct ktstr_test_outcome){.exit_code = KSFT_SKIP};
	snprintf(outcome->reason, sizeof(outcome->reason), "%s", run->skip);
}

/* Stands for every test's function: runs in the child that kselftest forked. */
static inline void __ktstr_host_run(struct __test_metadata *t,
				    struct __fixture_variant_metadata *variant)
{
	struct ktstr_test_id id = __ktstr_id(t, variant);
	struct ktstr_test_attrs attrs = __ktstr_attrs(id.fixture, id.variant, id.test);
	const struct ktstr_gauntlet_run *run = __ktstr_run_of(&id);
	struct ktstr_test_outcome outcome;

	if (run && run->skip)
		__ktstr_skip(run, &outcome);
	else if (__ktstr_jobs)
		ktstr_jobs__wait(__ktstr_jobs, &id, &outcome);
	else
		ktstr_harness__run_test(&id, &attrs, &outcome);
	snprintf(t->results->reason, sizeof(t->results->reason), "%s", outcome.reason);
	fflush(NULL);
	if (outcome.signal) {
		signal(outcome.signal, SIG_DFL);
		kill(getpid(), outcome.signal);
	}
	t->exit_code = outcome.exit_code;
}

/* Puts the host's function and no limit in place of each test's; returns how many are selected. */
static inline unsigned int __ktstr_host_prepare(int argc, char **argv)
{
	struct __fixture_variant_metadata no_variant = {.name = ""}, *v;
	struct __fixture_metadata *f;
	struct __test_metadata *t;
	unsigned int selected = 0;

	for (f = __fixture_list; f; f = f->next) {
		for (t = f->tests; t; t = t->next) {
			for (v = f->variant ?: &no_variant; v; v = v->next)
				selected += test_enabled(argc, argv, f, v, t);
			t->fn = __ktstr_host_run;
			/* The test's process has a limit of its own, from where it has a machine.
			 */
			t->timeout = -1;
		}
	}
	return selected;
}

/* Which of the @selected tests are of gauntlets, and which of these run. */
static inline int __ktstr_choose(int argc, char **argv, unsigned int selected,
				 const struct ktstr_gauntlet_host *host, struct ktstr_error *error)
{
	const struct ktstr_test_record *gauntlet;
	struct __fixture_variant_metadata *v;
	struct __fixture_metadata *f;
	struct __test_metadata *t;

	__ktstr_runs = calloc(selected, sizeof(*__ktstr_runs));
	if (!__ktstr_runs)
		return ktstr_error__set(error, ENOMEM, "choose", "gauntlet", NULL);
	for (f = __fixture_list; f; f = f->next) {
		gauntlet = __ktstr_gauntlet(f->name);
		for (v = gauntlet ? f->variant : NULL; v; v = v->next)
			for (t = f->tests; t; t = t->next)
				if (test_enabled(argc, argv, f, v, t) &&
				    ktstr_preset__find(v->name))
					__ktstr_runs[__ktstr_nr_runs++] =
						(struct ktstr_gauntlet_run){
							.test = f->name,
							.profile = t->name,
							.preset = ktstr_preset__find(v->name),
							.limits = gauntlet->attrs.gauntlet};
	}
	return ktstr_gauntlet__choose(__ktstr_runs, __ktstr_nr_runs, host, error);
}

/* False: the test is not to run. */
static inline bool __ktstr_job(const struct __test_metadata *t,
			       const struct __fixture_variant_metadata *v, struct ktstr_job *job)
{
	const struct ktstr_test_id id = __ktstr_id(t, v);
	const struct ktstr_gauntlet_run *run = __ktstr_run_of(&id);

	*job = (struct ktstr_job){.id = id,
				  .attrs = __ktstr_attrs(id.fixture, id.variant, id.test),
				  .cost_ms = run ? run->cost_ms : 0};
	return !run || !run->skip;
}

/* From here on the @selected tests run, @at_once of them; returns in the process that reports. */
static inline int __ktstr_start_jobs(int argc, char **argv, unsigned int selected, uint32_t at_once,
				     struct ktstr_error *error)
{
	static struct __fixture_variant_metadata no_variant = {.name = ""};
	struct ktstr_job *jobs = calloc(selected, sizeof(*jobs));
	struct __fixture_variant_metadata *v;
	struct __fixture_metadata *f;
	struct __test_metadata *t;
	uint32_t nr = 0;

	if (!jobs)
		return ktstr_error__set(error, ENOMEM, "start", "--jobs", NULL);
	/* In the order of test_harness_run() */
	for (f = __fixture_list; f; f = f->next)
		for (v = f->variant ?: &no_variant; v; v = v->next)
			for (t = f->tests; t; t = t->next)
				if (nr < selected && test_enabled(argc, argv, f, v, t))
					nr += __ktstr_job(t, v, &jobs[nr]);
	return nr ? ktstr_jobs__start(jobs, nr, at_once, &__ktstr_jobs, error) : 0;
}

static inline int __ktstr_bail_out(const char *why)
{
	if (!getenv("KSFT_TAP_LEVEL"))
		printf("TAP version 13\n");
	printf("Bail out! %s\n", why);
	return KSFT_FAIL;
}

static inline int ktstr_harness_main(int argc, char **argv)
{
	struct ktstr_error error = {.err = 0};
	struct ktstr_gauntlet_host host;
	unsigned int selected;
	uint32_t at_once;
	char why[1200];
	int ret;

	if (ktstr_guest__is_guest())
		return __ktstr_guest_main();

	if (ktstr_harness__take_options(&argc, argv, &error) || __ktstr_add_gauntlets(&error))
		goto failed;
	ret = test_harness_argv_check(argc, argv);
	if (ret != KSFT_PASS)
		return ret;
	selected = __ktstr_host_prepare(argc, argv);
	if (!selected)
		return __ktstr_bail_out("no test matches the selection; -l lists them");
	if (ktstr_harness__jobs(&at_once, &error) || ktstr_gauntlet__host(&host, &error) ||
	    ktstr_harness__enter_host(argc, argv, &error) ||
	    __ktstr_choose(argc, argv, selected, &host, &error))
		goto failed;
	if (at_once > 1 && __ktstr_start_jobs(argc, argv, selected, at_once, &error))
		goto failed;
	return test_harness_run(argc, argv);
failed:
	ktstr_error__format(&error, why, sizeof(why));
	return __ktstr_bail_out(why);
}

#define KTSTR_HARNESS_MAIN                             \
	int main(int argc, char **argv)                \
	{                                              \
		return ktstr_harness_main(argc, argv); \
	}

#endif /* KTSTR_HARNESS_H */

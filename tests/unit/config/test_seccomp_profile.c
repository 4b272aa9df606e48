/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shipped seccomp profiles, as programs: a small interpreter of classic BPF runs them over all
 * system call numbers and compares with expectations written down here by number, independently of
 * the profiles' own lists.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "config/seccomp_profile.h"

#define NR_LAST 470 /* highest number tried; more below */
#define ALLOW SECCOMP_RET_ALLOW
#define REFUSE(e) (SECCOMP_RET_ERRNO | (uint32_t)(e))

/* ---- the interpreter ---- */

static uint32_t load(const struct seccomp_data *d, uint32_t offset)
{
	uint32_t v;

	assert_true(offset % 4 == 0 && offset + 4 <= sizeof(*d));
	memcpy(&v, (const char *)d + offset, 4);
	return v;
}

static uint32_t run(const struct seccomp_program *p, const struct seccomp_data *d)
{
	uint32_t a = 0;
	size_t pc = 0;

	for (;;) {
		const struct sock_filter *f;
		bool taken;

		assert_true(pc < p->n);
		f = &p->insns[pc++];
		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			a = load(d, f->k);
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= f->k;
			continue;
		case BPF_JMP | BPF_JA:
			pc += f->k;
			continue;
		case BPF_RET | BPF_K:
			return f->k;
		case BPF_JMP | BPF_JEQ | BPF_K:
			taken = a == f->k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			taken = a > f->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			taken = a >= f->k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			taken = a & f->k;
			break;
		default:
			fail_msg("instruction %#x", f->code);
			return 0;
		}
		pc += taken ? f->jt : f->jf;
	}
}

static uint32_t ask(const struct seccomp_program *p, int nr, uint64_t a0, uint64_t a1, uint64_t a2)
{
	struct seccomp_data d = {.nr = nr, .arch = AUDIT_ARCH_X86_64, .args = {a0, a1, a2}};

	return run(p, &d);
}

/* ---- loading ---- */

static int compile(const char *text, struct seccomp_program *ret, char **ret_problems)
{
	_cleanup_problems_ struct problems *problems = problems_new();
	struct json_where w = {.file = "p.json", .path = "", .problems = problems};
	struct sbuf out = SBUF_INIT;
	struct err err = ERR_INIT;
	int r;

	assert_non_null(problems);
	r = seccomp_profile_compile(text, strlen(text), &w, ret, &err);
	assert_int_equal(r < 0 ? -err.code : 0, r);
	problems_format(problems, &out);
	if (ret_problems)
		*ret_problems = strdup(sbuf_str(&out));
	else if (r < 0)
		fail_msg("%s: %s", err_text(&err), sbuf_str(&out));
	sbuf_done(&out);
	return r;
}

static void compile_shipped(const char *name, struct seccomp_program *ret)
{
	_cleanup_free_ char *text = NULL;
	char path[128];

	assert_int_equal(str_fmt(path, sizeof(path), "config/defaults/seccomp/%s.json", name), 0);
	assert_int_equal(file_read_at(AT_FDCWD, path, JSON_TEXT_MAX, &text, NULL, NULL), 0);
	assert_int_equal(compile(text, ret, NULL), 0);
	assert_string_equal(sbuf_str(&ret->warnings), "");
}

/* ---- expectations, by number ---- */

/* The kernel's arch/x86/entry/syscalls/syscall_64.tbl: 0..334 and 424..456 are those known to
 * libseccomp 2.5.4; here is what is not simply allowed, with harmless arguments (all 0). */
static const struct {
	int first, last, code;
} refused[] = {
	{103, 103, EPERM},	/* syslog */
	{134, 134, ENOSYS},	/* uselib */
	{136, 136, EPERM},	/* ustat */
	{139, 139, EPERM},	/* sysfs */
	{154, 154, EPERM},	/* modify_ldt */
	{156, 156, ENOSYS},	/* _sysctl */
	{163, 164, EPERM},	/* acct, settimeofday */
	{167, 168, EPERM},	/* swapon, swapoff */
	{172, 173, EPERM},	/* iopl, ioperm */
	{174, 174, ENOSYS},	/* create_module */
	{175, 176, EPERM},	/* init_module, delete_module */
	{177, 178, ENOSYS},	/* get_kernel_syms, query_module */
	{179, 179, EPERM},	/* quotactl */
	{180, 185, ENOSYS},	/* nfsservctl, getpmsg, putpmsg, afs_syscall, tuxcall, security */
	{205, 205, ENOSYS},	/* set_thread_area */
	{211, 211, ENOSYS},	/* get_thread_area */
	{212, 212, EPERM},	/* lookup_dcookie */
	{214, 215, ENOSYS},	/* epoll_ctl_old, epoll_wait_old */
	{227, 227, EPERM},	/* clock_settime */
	{236, 236, ENOSYS},	/* vserver */
	{246, 246, EPERM},	/* kexec_load */
	{248, 250, ENOSYS},	/* add_key, request_key, keyctl */
	{256, 256, EPERM},	/* migrate_pages */
	{279, 279, EPERM},	/* move_pages */
	{298, 298, EPERM},	/* perf_event_open */
	{300, 301, EPERM},	/* fanotify_init, fanotify_mark */
	{304, 304, EPERM},	/* open_by_handle_at */
	{313, 313, EPERM},	/* finit_module */
	{320, 321, EPERM},	/* kexec_file_load, bpf */
	{323, 323, EPERM},	/* userfaultfd */
	{335, 423, ENOSYS},	/* nothing */
	{425, 427, ENOSYS},	/* io_uring_* */
	{430, 433, ENOSYS},	/* fsopen, fsconfig, fsmount, fspick */
	{443, 443, EPERM},	/* quotactl_fd */
	{457, NR_LAST, ENOSYS}, /* newer than libseccomp; 469 file_setattr must stay refused */
	/* socket and socketpair with family 0 */
	{41, 41, EAFNOSUPPORT},
	{53, 53, EAFNOSUPPORT},
};

static uint32_t expected(int nr)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (nr >= refused[i].first && nr <= refused[i].last)
			return REFUSE(refused[i].code);
	return ALLOW;
}

static const struct {
	const char *name;
	int nr;
	uint32_t want;
} hardened[] = {{"clone3", 435, REFUSE(ENOSYS)}},
  nesting[] = {
	  {"add_key", 248, ALLOW}, {"request_key", 249, ALLOW}, {"keyctl", 250, ALLOW},
	  {"fsopen", 430, ALLOW},  {"fsconfig", 431, ALLOW},	{"fsmount", 432, ALLOW},
	  {"fspick", 433, ALLOW},
};

static void check_numbers(const struct seccomp_program *p, const char *profile)
{
	for (int nr = 0; nr <= NR_LAST; nr++) {
		uint32_t want = expected(nr), got = ask(p, nr, 0, 0, 0);

		for (size_t i = 0;
		     str_eq(profile, "hardened") && i < sizeof(hardened) / sizeof(hardened[0]); i++)
			if (hardened[i].nr == nr)
				want = hardened[i].want;
		for (size_t i = 0;
		     str_eq(profile, "nesting") && i < sizeof(nesting) / sizeof(nesting[0]); i++)
			if (nesting[i].nr == nr)
				want = nesting[i].want;
		if (got != want)
			fail_msg("%s: system call %d: %#x instead of %#x", profile, nr, got, want);
	}
	assert_int_equal(ask(p, 100000, 0, 0, 0), REFUSE(ENOSYS));
	assert_int_equal(ask(p, -1, 0, 0, 0), REFUSE(ENOSYS));
}

/* With arguments; the same in every profile. High halves of int arguments do not count. */
#define HIGH UINT64_C(0xdead000000000000)
#define MINUS UINT64_C(0xffffffff00000000)

static const struct {
	int nr;
	uint64_t a0, a1, a2;
	uint32_t want;
} with_args[] = {
	/* socket */
	{41, 1, 1, 0, ALLOW},
	{41, 2, 1, 0, ALLOW},
	{41, 2, 1, 262, ALLOW}, /* IPPROTO_MPTCP */
	{41, 10, 2, 0, ALLOW},
	{41, 17, 3, 0, ALLOW},
	{41, HIGH | 1, 1, 0, ALLOW},
	{41, 16, 3, 0, ALLOW}, /* ROUTE */
	{41, 16, 3, 1, REFUSE(EAFNOSUPPORT)},
	{41, 16, 3, 4, ALLOW},		      /* SOCK_DIAG */
	{41, 16, 3, 6, REFUSE(EAFNOSUPPORT)}, /* XFRM */
	{41, 16, 3, 9, REFUSE(EAFNOSUPPORT)}, /* AUDIT */
	{41, 16, 3, HIGH | 9, REFUSE(EAFNOSUPPORT)},
	{41, 16, 3, 10, ALLOW},		       /* FIB_LOOKUP */
	{41, 16, 3, 12, ALLOW},		       /* NETFILTER */
	{41, 16, 3, 15, ALLOW},		       /* KOBJECT_UEVENT */
	{41, 16, 3, 16, ALLOW},		       /* GENERIC */
	{41, 16, 3, 18, REFUSE(EAFNOSUPPORT)}, /* SCSITRANSPORT */
	{41, 16, 3, 21, REFUSE(EAFNOSUPPORT)}, /* CRYPTO */
	{41, 3, 0, 0, REFUSE(EAFNOSUPPORT)},   /* AX25 */
	{41, 9, 0, 0, REFUSE(EAFNOSUPPORT)},
	{41, 15, 0, 0, REFUSE(EAFNOSUPPORT)}, /* KEY */
	{41, 29, 0, 0, REFUSE(EAFNOSUPPORT)}, /* CAN */
	{41, 38, 5, 0, REFUSE(EAFNOSUPPORT)}, /* ALG */
	{41, HIGH | 38, 5, 0, REFUSE(EAFNOSUPPORT)},
	{41, 40, 1, 0, REFUSE(EAFNOSUPPORT)}, /* VSOCK */
	{41, 44, 3, 0, REFUSE(EAFNOSUPPORT)}, /* XDP */
	{41, MINUS | 0xffffffff, 0, 0, REFUSE(EAFNOSUPPORT)},
	/* Transports over IP: as root inside these would load modules. */
	{41, 2, 1, 132, REFUSE(EPROTONOSUPPORT)}, /* SCTP */
	{41, 2, 1, HIGH | 132, REFUSE(EPROTONOSUPPORT)},
	{41, 10, 5, 0, REFUSE(ESOCKTNOSUPPORT)}, /* SOCK_SEQPACKET */
	{41, 2, 02000005, 0, REFUSE(ESOCKTNOSUPPORT)},
	{41, 2, 6, 0, REFUSE(ESOCKTNOSUPPORT)},	   /* SOCK_DCCP */
	{41, 10, 2, 115, REFUSE(EPROTONOSUPPORT)}, /* L2TP */
	{41, 2, 1, 256, REFUSE(EPROTONOSUPPORT)},  /* SMC */
	{53, 10, 1, 132, REFUSE(EPROTONOSUPPORT)},
	{41, 17, 3, 256, ALLOW}, /* AF_PACKET, ETH_P_802_3 */
	{41, 1, 5, 0, ALLOW},	 /* AF_UNIX, SOCK_SEQPACKET */
	{41, 2, 3, 89, ALLOW},	 /* raw, OSPF */
	{53, 1, 1, 0, ALLOW},
	{53, 40, 1, 0, REFUSE(EAFNOSUPPORT)},
	/* personality */
	{135, 0, 0, 0, ALLOW},
	{135, 8, 0, 0, ALLOW},
	{135, 0x20000, 0, 0, ALLOW},
	{135, 0x20008, 0, 0, ALLOW},
	{135, 0xffffffff, 0, 0, ALLOW},
	{135, UINT64_MAX, 0, 0, ALLOW},
	{135, 0x40000, 0, 0, REFUSE(EPERM)},
	{135, 0x400000, 0, 0, REFUSE(EPERM)},
	{135, 6, 0, 0, REFUSE(EPERM)},
	/* ioctl */
	{16, 0, 0x5401, 0, ALLOW},
	{16, 0, 0x5413, 0, ALLOW},
	{16, 0, 0x5412, 0, REFUSE(EPERM)},
	{16, 0, HIGH | 0x5412, 0, REFUSE(EPERM)},
	{16, 0, 0x541c, 0, REFUSE(EPERM)},
	{16, 0, 0x541d, 0, REFUSE(EPERM)},
	{16, 0, 0x5423, 0, REFUSE(EPERM)}, /* TIOCSETD */
	{16, 0, HIGH | 0x5423, 0, REFUSE(EPERM)},
	{16, 0, 0x5424, 0, ALLOW}, /* TIOCGETD */
	{16, 0, 0x40086602, 0, REFUSE(EPERM)},
	{16, 0, MINUS | 0x40086602, 0, REFUSE(EPERM)},
	{16, 0, 0x40046602, 0, REFUSE(EPERM)},
	{16, 0, 0x401c5820, 0, REFUSE(EPERM)},
	{16, 0, 0x80086601, 0, ALLOW}, /* FS_IOC_GETFLAGS */
	{16, 0, 0x801c581f, 0, ALLOW}, /* FS_IOC_FSGETXATTR */
	{16, 0, 0x50009401, 0, REFUSE(EPERM)},
	{16, 0, 0x9412, 0, REFUSE(EPERM)},
	/* umount2 */
	{166, 0, 0, 0, ALLOW},
	{166, 0, 2, 0, ALLOW},
	{166, 0, 1, 0, REFUSE(EACCES)},
	{166, 0, HIGH | 3, 0, REFUSE(EACCES)},
	/* sched_setscheduler */
	{144, 0, 0, 0, ALLOW},
	{144, 0, 3, 0, ALLOW},
	{144, 0, 5, 0, ALLOW},
	{144, 0, 0x40000000, 0, ALLOW},
	{144, 0, 1, 0, REFUSE(EPERM)},
	{144, 0, 2, 0, REFUSE(EPERM)},
	{144, 0, 6, 0, REFUSE(EPERM)},
	{144, 0, 0x40000001, 0, REFUSE(EPERM)},
	/* clone, unshare: namespaces other than the user's */
	{56, 0x20020011, 0, 0, ALLOW},
	{56, 0x01200011, 0, 0, ALLOW},
	{272, 0x00020000, 0, 0, ALLOW},
};

static void check_args(const struct seccomp_program *p)
{
	for (size_t i = 0; i < sizeof(with_args) / sizeof(with_args[0]); i++) {
		uint32_t got =
			ask(p, with_args[i].nr, with_args[i].a0, with_args[i].a1, with_args[i].a2);

		if (got != with_args[i].want)
			fail_msg("row %zu: system call %d: %#x instead of %#x", i, with_args[i].nr,
				 got, with_args[i].want);
	}
}

static void check_arch(const struct seccomp_program *p)
{
	struct seccomp_data d = {.arch = AUDIT_ARCH_X86_64};
	static const uint32_t others[] = {AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, 0, UINT32_MAX};

	for (d.nr = 0; d.nr <= NR_LAST; d.nr++) {
		for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
			d.arch = others[i];
			assert_int_equal(run(p, &d), REFUSE(ENOSYS));
		}
		/* x32 */
		assert_int_equal(ask(p, d.nr | 0x40000000, 1, 0, 0), REFUSE(ENOSYS));
	}
}

static void check_namespaces(const struct seccomp_program *p, uint32_t want)
{
	assert_int_equal(ask(p, 56, 0x10000011, 0, 0), want);
	assert_int_equal(ask(p, 56, HIGH | 0x7e000011, 0, 0), want);
	assert_int_equal(ask(p, 272, 0x10000000, 0, 0), want);
	assert_int_equal(ask(p, 272, 0x10020000, 0, 0), want);
}

static void test_shipped(void **state)
{
	static const struct {
		const char *name;
		uint32_t newuser;
	} profiles[] = {{"default", ALLOW}, {"hardened", REFUSE(EPERM)}, {"nesting", ALLOW}};

	(void)state;
	for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++) {
		_cleanup_seccomp_program_ struct seccomp_program p = SECCOMP_PROGRAM_INIT;

		compile_shipped(profiles[i].name, &p);
		check_numbers(&p, profiles[i].name);
		check_args(&p);
		check_arch(&p);
		check_namespaces(&p, profiles[i].newuser);
	}
}

/* Each system call that libseccomp knows is decided on by name: in exactly one rule without args,
 * or only in rules with args (which an "otherwise" rule or the default completes). */
static void test_complete(void **state)
{
	static const char *const names[] = {"default", "hardened", "nesting"};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		char path[128];
		_cleanup_json_ json_t *doc = NULL;
		json_t *rule, *name;
		size_t k, m;

		assert_int_equal(
			str_fmt(path, sizeof(path), "config/defaults/seccomp/%s.json", names[i]),
			0);
		doc = json_load_file(path, 0, NULL);
		assert_non_null(doc);
		for (int nr = 0; nr <= NR_LAST; nr++) {
			char *known = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, nr);
			unsigned n = 0;

			if (!known)
				continue;
			json_array_foreach (json_object_get(doc, "syscalls"), k, rule) {
				if (json_object_get(rule, "args"))
					continue;
				json_array_foreach (json_object_get(rule, "names"), m, name)
					n += str_eq(json_string_value(name), known);
			}
			if (n != 1)
				fail_msg("%s: '%s' is in %u rules", path, known, n);
			free(known);
		}
	}
}

static void refuse(const char *text, const char *const *wanted)
{
	_cleanup_free_ char *problems = NULL;
	struct seccomp_program p = SECCOMP_PROGRAM_INIT;

	assert_int_equal(compile(text, &p, &problems), -EINVAL);
	for (; *wanted; wanted++)
		if (!strstr(problems, *wanted))
			fail_msg("'%s' is not in:\n%s", *wanted, problems);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_strict(void **state)
{
	(void)state;
	refuse("[]", LIST("object"));
	refuse("{", LIST("p.json:"));
	refuse("{}", LIST("defaultAction", "syscalls"));
	refuse("{\"defaultAction\": \"SCMP_ACT_NOTIFY\", \"syscals\": [], \"syscalls\": []}",
	       LIST("defaultAction", "SCMP_ACT_NOTIFY", "syscals", "did you mean 'syscalls'"));
	refuse("{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"defaultErrnoRet\": 1, \"syscalls\": []}",
	       LIST("defaultErrnoRet"));
	refuse("{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrnoRet\": 4096, "
	       "\"architectures\": [\"SCMP_ARCH_ARM\"], \"syscalls\": []}",
	       LIST("defaultErrnoRet", "architectures", "SCMP_ARCH_X86_64"));
	/* All at once, each with its path. */
	refuse("{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": ["
	       "{\"names\": [], \"action\": \"SCMP_ACT_ALLOW\"},"
	       "{\"names\": [\"read\", 7], \"action\": \"ALLOW\"},"
	       "{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\", \"includes\": "
	       "{\"caps\": [\"CAP_BPF\"]}},"
	       "{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": 5},"
	       "{\"names\": [\"open\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": "
	       "[{\"index\": 6, \"value\": 1, \"op\": \"SCMP_CMP_EQ\"}, "
	       "{\"index\": 1, \"value\": -1, \"op\": \"=\"}, "
	       "{\"index\": 2, \"value\": 1, \"valueTwo\": 3, \"op\": \"SCMP_CMP_MASKED_EQ\"}]}"
	       "]}",
	       LIST("syscalls[0].names", "syscalls[1].names[1]", "syscalls[1].action",
		    "syscalls[2].includes.caps", "syscalls[3].names[0]", "syscalls[1] already",
		    "syscalls[4].args[0].index", "syscalls[4].args[1].op",
		    "syscalls[4].args[2].valueTwo"));
}

/* A deny list, as LXC has it; the order of rules in the text does not matter. */
static void test_deny_list(void **state)
{
	_cleanup_seccomp_program_ struct seccomp_program p = SECCOMP_PROGRAM_INIT;

	(void)state;
	assert_int_equal(
		compile("{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"archMap\": [{\"architecture\": "
			"\"SCMP_ARCH_X86_64\", \"subArchitectures\": [\"SCMP_ARCH_X86\"]}], "
			"\"syscalls\": [{\"names\": [\"kexec_load\", \"no_such_call\"], "
			"\"action\": \"SCMP_ACT_ERRNO\"}, {\"names\": [\"read\"], \"action\": "
			"\"SCMP_ACT_KILL_PROCESS\", \"args\": [{\"index\": 0, \"value\": 9, "
			"\"op\": \"SCMP_CMP_GT\"}], \"includes\": {}, \"excludes\": {}}]}",
			&p, NULL),
		0);
	assert_int_equal(ask(&p, 1, 0, 0, 0), ALLOW);
	assert_int_equal(ask(&p, 246, 0, 0, 0), REFUSE(EPERM));
	assert_int_equal(ask(&p, 0, 9, 0, 0), ALLOW);
	assert_int_equal(ask(&p, 0, 10, 0, 0), SECCOMP_RET_KILL_PROCESS);
	assert_non_null(strstr(sbuf_str(&p.warnings), "no_such_call"));
	assert_non_null(strstr(sbuf_str(&p.warnings), "SCMP_ARCH_X86"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shipped),
		cmocka_unit_test(test_complete),
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_deny_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

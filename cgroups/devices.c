/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device program: a table compiled to a dozen BPF instructions a row, without libbpf.
 * Context and return value: struct bpf_cgroup_dev_ctx in <linux/bpf.h>, 1 allows, 0 is EPERM.
 * With several programs on the way up all must allow, so that a guest can only narrow ours.
 */
#include "cgroups/devices.h"

#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

#define PROGRAM_NAME "vpsd_devices"
#define ATTACHED_MAX 64 /* the kernel's own bound of programs on one cgroup */

_Static_assert((int)CG_DEVICE_MKNOD == BPF_DEVCG_ACC_MKNOD &&
		       (int)CG_DEVICE_READ == BPF_DEVCG_ACC_READ &&
		       (int)CG_DEVICE_WRITE == BPF_DEVCG_ACC_WRITE,
	       "access bits are the kernel's");

#define RW (CG_DEVICE_READ | CG_DEVICE_WRITE)

static const struct cg_device_rule rules[] = {
	{'c', 1, 3, RW, 0},		    /* null */
	{'c', 1, 5, RW, 0},		    /* zero */
	{'c', 1, 7, RW, 0},		    /* full */
	{'c', 1, 8, RW, 0},		    /* random */
	{'c', 1, 9, RW, 0},		    /* urandom */
	{'c', 5, 0, RW, 0},		    /* tty */
	{'c', 5, 1, RW, 0},		    /* console */
	{'c', 5, 2, RW, 0},		    /* ptmx */
	{'c', 136, CG_DEVICE_ANY, RW, 0},   /* pts/N */
	{'c', 10, 229, RW, CG_DEVICE_FUSE}, /* fuse */
	{'c', 10, 200, RW, CG_DEVICE_TUN},  /* net/tun */
};

const struct cg_device_rule *cg_device_rules(size_t *ret_n)
{
	*ret_n = sizeof(rules) / sizeof(rules[0]);
	return rules;
}

/* ---- compiling ---- */

enum reg {
	R_RESULT = 0,
	R_CONTEXT = 1,
	R_TYPE = 2,
	R_ACCESS = 3,
	R_MAJOR = 4,
	R_MINOR = 5,
	R_SCRATCH = 6,
};

static struct bpf_insn load_field(enum reg dst, size_t offset)
{
	return (struct bpf_insn){.code = BPF_LDX | BPF_MEM | BPF_W,
				 .dst_reg = dst,
				 .src_reg = R_CONTEXT,
				 .off = (int16_t)offset};
}

static struct bpf_insn alu(int op, enum reg dst, uint32_t imm)
{
	return (struct bpf_insn){
		.code = (uint8_t)(BPF_ALU | BPF_K | op), .dst_reg = dst, .imm = (int32_t)imm};
}

static struct bpf_insn copy(enum reg dst, enum reg src)
{
	return (struct bpf_insn){.code = BPF_ALU | BPF_MOV | BPF_X, .dst_reg = dst, .src_reg = src};
}

static struct bpf_insn jump_unless_equal(enum reg dst, uint32_t imm, size_t over)
{
	return (struct bpf_insn){.code = BPF_JMP32 | BPF_JNE | BPF_K,
				 .dst_reg = dst,
				 .off = (int16_t)over,
				 .imm = (int32_t)imm};
}

static const struct bpf_insn leave = {.code = BPF_JMP | BPF_EXIT};

struct program {
	struct bpf_insn *insns;
	size_t max;
	size_t n; /* may pass max: then nothing was stored there */
};

static void put(struct program *p, struct bpf_insn insn)
{
	if (p->n < p->max)
		p->insns[p->n] = insn;
	p->n++;
}

/* All that does not match jumps behind the row. */
static void put_rule(struct program *p, const struct cg_device_rule *rule)
{
	bool any = rule->minor == CG_DEVICE_ANY;
	size_t left = any ? 6 : 7; /* instructions after the first */

	put(p,
	    jump_unless_equal(R_TYPE, rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR,
			      left--));
	put(p, jump_unless_equal(R_MAJOR, rule->major, left--));
	if (!any)
		put(p, jump_unless_equal(R_MINOR, rule->minor, left--));
	/* Nothing may be asked for beyond what is allowed. */
	put(p, copy(R_SCRATCH, R_ACCESS));
	put(p, alu(BPF_AND, R_SCRATCH, ~rule->access));
	left -= 2;
	put(p, jump_unless_equal(R_SCRATCH, 0, left));
	put(p, alu(BPF_MOV, R_RESULT, 1));
	put(p, leave);
}

int cg_devices_compile(const struct cg_device_set *set, struct bpf_insn *ret, size_t max,
		       struct err *err)
{
	struct program p = {.insns = ret, .max = max};

	if (set->n > CG_DEVICES_MAX)
		return err_set(err, E2BIG, "cannot compile the device program: %zu devices, not %d",
			       set->n, CG_DEVICES_MAX);
	put(&p, load_field(R_TYPE, offsetof(struct bpf_cgroup_dev_ctx, access_type)));
	put(&p, copy(R_ACCESS, R_TYPE));
	put(&p, alu(BPF_AND, R_TYPE, 0xffff));
	put(&p, alu(BPF_RSH, R_ACCESS, 16));
	put(&p, load_field(R_MAJOR, offsetof(struct bpf_cgroup_dev_ctx, major)));
	put(&p, load_field(R_MINOR, offsetof(struct bpf_cgroup_dev_ctx, minor)));
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if ((rules[i].feature & ~set->features) == 0)
			put_rule(&p, &rules[i]);
	for (size_t i = 0; i < set->n; i++)
		put_rule(&p, &(struct cg_device_rule){'c', set->more[i].major, set->more[i].minor,
						      RW, 0});
	put(&p, alu(BPF_MOV, R_RESULT, 0));
	put(&p, leave);
	if (p.n > max)
		return err_set(err, E2BIG, "cannot compile the device program: it takes %zu of %zu",
			       p.n, max);
	return (int)p.n;
}

/* ---- the kernel ---- */

static int sys_bpf(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static uint64_t pointer(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

/* What a refusal means, in the operator's words. */
static int explain(struct err *err, int code, const char *what)
{
	switch (code) {
	case ENOSYS:
	case EINVAL:
		(void)err_set(err, EOPNOTSUPP,
			      "cannot %s: this kernel has no device programs for cgroups", what);
		(void)err_hint(err, "it needs CONFIG_CGROUP_BPF and Linux 5.6 or later");
		return -EOPNOTSUPP;
	case EPERM:
		(void)err_set(err, EPERM, "cannot %s: not permitted", what);
		(void)err_hint(err, "it needs CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN, of the "
				    "host itself");
		return -EPERM;
	default:
		return err_set_errno(err, code, "cannot %s", what);
	}
}

int cg_devices_load(const struct cg_device_set *set, struct err *err)
{
	struct bpf_insn insns[CG_DEVICE_INSNS_MAX];
	union bpf_attr attr;
	int fd, n = cg_devices_compile(set, insns, CG_DEVICE_INSNS_MAX, err);

	if (n < 0)
		return n;
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insn_cnt = (uint32_t)n;
	attr.insns = pointer(insns);
	attr.license = pointer("Apache-2.0");
	memcpy(attr.prog_name, PROGRAM_NAME, sizeof(PROGRAM_NAME));
	fd = sys_bpf(BPF_PROG_LOAD, &attr); /* O_CLOEXEC by the kernel */
	if (fd < 0)
		return explain(err, errno, "load the device program");
	return fd;
}

static int program_info(int prog_fd, struct bpf_prog_info *ret)
{
	union bpf_attr attr;

	memset(ret, 0, sizeof(*ret));
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)prog_fd;
	attr.info.info_len = sizeof(*ret);
	attr.info.info = pointer(ret);
	return sys_bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) < 0 ? -errno : 0;
}

/* Finds the program of ours on this cgroup: its fd, or -ENOENT. */
static int find_ours(int dirfd, struct bpf_prog_info *ret, struct err *err)
{
	uint32_t ids[ATTACHED_MAX] = {0};
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.query.target_fd = (uint32_t)dirfd;
	attr.query.attach_type = BPF_CGROUP_DEVICE;
	attr.query.prog_ids = pointer(ids);
	attr.query.prog_cnt = ATTACHED_MAX;
	if (sys_bpf(BPF_PROG_QUERY, &attr) < 0)
		return explain(err, errno, "ask for the device programs of the cgroup");
	for (uint32_t i = 0; i < attr.query.prog_cnt && i < ATTACHED_MAX; i++) {
		union bpf_attr get;
		_cleanup_close_ int fd = -1;

		memset(&get, 0, sizeof(get));
		get.prog_id = ids[i];
		fd = sys_bpf(BPF_PROG_GET_FD_BY_ID, &get);
		/* Detached and gone meanwhile. */
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			return explain(err, errno, "open a device program of the cgroup");
		if (program_info(fd, ret) == 0 && str_eq(ret->name, PROGRAM_NAME))
			return take_fd(&fd);
	}
	return err_set(err, ENOENT, "no device program of ours is attached");
}

int cg_devices_attach(int dirfd, int prog_fd, struct err *err)
{
	struct bpf_prog_info old_info, new_info;
	_cleanup_close_ int old = find_ours(dirfd, &old_info, NULL);
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (uint32_t)dirfd;
	attr.attach_bpf_fd = (uint32_t)prog_fd;
	attr.attach_type = BPF_CGROUP_DEVICE;
	attr.attach_flags = BPF_F_ALLOW_MULTI;
	if (old >= 0) {
		/* The kernel refuses a program that is there already; the tag is the digest of the
		 * instructions. */
		if (program_info(prog_fd, &new_info) == 0 &&
		    memcmp(old_info.tag, new_info.tag, sizeof(old_info.tag)) == 0)
			return 0;
		attr.attach_flags |= BPF_F_REPLACE;
		attr.replace_bpf_fd = (uint32_t)old;
	}
	if (sys_bpf(BPF_PROG_ATTACH, &attr) < 0)
		return explain(err, errno, "attach the device program");
	return 0;
}

int cg_devices_is_attached(int dirfd, struct err *err)
{
	struct bpf_prog_info info;
	_cleanup_close_ int fd = find_ours(dirfd, &info, err);

	if (fd == -ENOENT) {
		if (err)
			*err = ERR_INIT;
		return 0;
	}
	return fd < 0 ? fd : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The text of /proc/cpuinfo for some of a machine's CPUs, in the forms of several architectures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "cgroups/cpuset.h"
#include "runtime/instance/cpuinfo.h"

static const char x86[] = "processor\t: 0\nmodel name\t: A\npower management:\n\n"
			  "processor\t: 1\nmodel name\t: B\npower management:\n\n"
			  "processor\t: 10\nmodel name\t: C\npower management:\n\n";

static void makes(const char *machine, const char *list, const char *text)
{
	_cleanup_sbuf_ struct sbuf out = SBUF_INIT;
	cpu_set_t cpus;

	assert_int_equal(cg_cpus_parse(list, &cpus), 0);
	assert_int_equal(cpuinfo_make(machine, &cpus, &out), 0);
	assert_string_equal(sbuf_str(&out), text);
}

static void fails(const char *machine, const char *list, int error)
{
	_cleanup_sbuf_ struct sbuf out = SBUF_INIT;
	cpu_set_t cpus;

	assert_int_equal(cg_cpus_parse(list, &cpus), 0);
	assert_int_equal(cpuinfo_make(machine, &cpus, &out), error);
}

static void test_stanzas(void **state)
{
	(void)state;
	makes(x86, "0-1,10", x86);
	makes(x86, "1", "processor\t: 1\nmodel name\t: B\npower management:\n\n");
	makes(x86, "0,10",
	      "processor\t: 0\nmodel name\t: A\npower management:\n\n"
	      "processor\t: 10\nmodel name\t: C\npower management:\n\n");
}

/* Nothing ends the last stanza, or any. */
static void test_no_empty_lines(void **state)
{
	(void)state;
	makes("processor: 0\na: 0\nprocessor: 1\na: 1", "1", "processor: 1\na: 1");
	makes("processor: 0\na: 0\nprocessor: 1\na: 1", "0", "processor: 0\na: 0\n");
}

/* What belongs to no CPU stays: arm's tail, powerpc's, mips' head; a key that only looks like it.
 */
static void test_rest(void **state)
{
	(void)state;
	makes("processor\t: 0\nBogoMIPS\t: 48.00\n\nprocessor\t: 1\nBogoMIPS\t: 48.00\n\n"
	      "Hardware\t: BCM2835\nSerial\t\t: 0\n",
	      "1", "processor\t: 1\nBogoMIPS\t: 48.00\n\nHardware\t: BCM2835\nSerial\t\t: 0\n");
	makes("system type\t\t: X\n\nprocessor\t\t: 0\na: 0\n\nprocessor\t\t: 1\na: 1\n\n", "0",
	      "system type\t\t: X\n\nprocessor\t\t: 0\na: 0\n\n");
	makes("Processor\t: ARMv7 Processor rev 4 (v7l)\nprocessor\t: 0\n\nprocessor\t: 1\n\n", "1",
	      "Processor\t: ARMv7 Processor rev 4 (v7l)\nprocessor\t: 1\n\n");
	makes("processor\t: none\nprocessor\t: 0\nprocessors: 3\n", "0",
	      "processor\t: none\nprocessor\t: 0\nprocessors: 3\n");
}

static void test_s390(void **state)
{
	static const char s390[] = "vendor_id       : IBM/S390\n"
				   "# processors    : 3\n"
				   "bogomips per cpu: 3241.00\n"
				   "cache0          : level=1 type=Data\n"
				   "processor 0: version = FF,  identification = 02\n"
				   "processor 1: version = FF,  identification = 12\n"
				   "processor 2: version = FF,  identification = 22\n"
				   "\n"
				   "cpu number      : 0\n"
				   "cpu MHz dynamic : 5208\n"
				   "\n"
				   "cpu number      : 1\n"
				   "cpu MHz dynamic : 5209\n"
				   "\n"
				   "cpu number      : 2\n"
				   "cpu MHz dynamic : 5210\n"
				   "\n";

	(void)state;
	makes(s390, "0-2", s390);
	makes(s390, "0",
	      "vendor_id       : IBM/S390\n"
	      "# processors    : 1\n"
	      "bogomips per cpu: 3241.00\n"
	      "cache0          : level=1 type=Data\n"
	      "processor 0: version = FF,  identification = 02\n"
	      "\n"
	      "cpu number      : 0\n"
	      "cpu MHz dynamic : 5208\n"
	      "\n");
	makes(s390, "1-2",
	      "vendor_id       : IBM/S390\n"
	      "# processors    : 2\n"
	      "bogomips per cpu: 3241.00\n"
	      "cache0          : level=1 type=Data\n"
	      "processor 1: version = FF,  identification = 12\n"
	      "processor 2: version = FF,  identification = 22\n"
	      "\n"
	      "cpu number      : 1\n"
	      "cpu MHz dynamic : 5209\n"
	      "\n"
	      "cpu number      : 2\n"
	      "cpu MHz dynamic : 5210\n"
	      "\n");
}

static void test_failures(void **state)
{
	(void)state;
	fails(x86, "2", -ENOENT);
	fails(x86, "0-2", -ENOENT);
	fails("cpu\t\t: Alpha\ncpus detected\t: 2\n", "0", -EBADMSG);
	fails("", "0", -EBADMSG);
	/* A number that no set holds, or that is none. */
	fails("processor\t: 18446744073709551616\n\n", "0", -EBADMSG);
	fails("processor\t: 4096\n\n", "0", -ENOENT);
	fails("processor\t: 0x0\n\n", "0", -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stanzas),	 cmocka_unit_test(test_no_empty_lines),
		cmocka_unit_test(test_rest),	 cmocka_unit_test(test_s390),
		cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

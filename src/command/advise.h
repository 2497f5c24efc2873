/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of `noah advise` share: advise.c (the command and its words), advise_look.c (this machine as /proc shows it),
 * advise_size.c (what follows from it; pure).
 */
#ifndef NOAH_COMMAND_ADVISE_H
#define NOAH_COMMAND_ADVISE_H

#include "cluster/cluster.h"

#define ADVISE_PROCESSES_MOST 32768u
#define ADVISE_ADDRESSES_MOST 64u /* of apps on one machine */
#define ADVISE_PROGRAMS_MOST  16u
#define ADVISE_GROUPS_MOST    16u
#define ADVISE_NOTE_SIZE      320u
#define ADVISE_NOTES_MOST     32u

/* ---- what is there (advise_look.c) --------------------------------------------------------------------------------- */

struct advise_process {
	int pid, parent, group;
	unsigned threads;
	uint64_t bytes;    /* its proportional share of memory (PSS), and what of it is swapped out */
	uint64_t held;     /* bits of the addresses on which it listens */
	char name[32];     /* as ps shows it */
	char program[256]; /* the file that it runs; "": not known */
};

struct advise_machine {
	uint64_t memory_bytes; /* that can be used here */
	bool limited;          /* by a control group; otherwise it is the machine's */
	uint64_t kernel_bytes; /* what the kernel cannot give back, and files in memory */
	unsigned processors;
	unsigned count;      /* of processes, without the kernel's and this one */
	unsigned unreadable; /* processes that may not be looked at */
	struct advise_process *processes;
};

/* An address of an app on this machine. */
struct advise_address {
	char text[CLUSTER_NAME_SIZE + 8]; /* "web1:8080" */
	struct address address;
	unsigned configured; /* the cap in the file; 0: none */
	unsigned fronts;     /* servers that send requests there */
	char sites[256];     /* "site example.com, site example.org /api" */
	unsigned sockets;    /* that listen there */
	int program;         /* index; -1: nobody was found */
	unsigned fit;        /* advised; 0: nothing can be said */
};

/* Fills `machine` from /proc under `root` ("" is this machine's; tests have their own), and which processes listen on the
 * addresses. False: /proc cannot be read. Free with advise_machine_free. */
bool advise_look(const char *root, struct advise_address *addresses, unsigned address_count,
                 struct advise_machine *machine) MUST_CHECK;
void advise_machine_free(struct advise_machine *machine);
/* The least memory that the control groups of a process allow it; UINT64_MAX: no limit. */
uint64_t advise_limit_of(const char *root, int pid);

/* ---- what follows (advise_size.c) ----------------------------------------------------------------------------------- */

enum advise_model {
	ADVISE_ONE_EACH, /* each process serves one connection at a time, by its nature or as its single thread suggests */
	ADVISE_MANY,     /* each process serves many: memory does not say how many */
	ADVISE_ELSEWHERE /* it only passes on, into a container */
};

struct advise_program {
	char program[256], name[32];
	unsigned group_count;
	int groups[ADVISE_GROUPS_MOST]; /* process groups of those who listen */
	enum advise_model model;
	bool known;       /* the model is the program's nature; otherwise it was guessed from its threads */
	unsigned workers; /* processes that serve */
	unsigned others;  /* parents of others: they serve nobody */
	uint64_t others_bytes;
	uint64_t average_bytes; /* of a worker */
	uint64_t large_bytes;   /* of the larger ones: the average of the largest quarter */
	uint64_t limit_bytes;   /* of its control group; UINT64_MAX: none */
	unsigned addresses;     /* of apps, on which it listens */
	uint64_t share_bytes;   /* of memory, for its workers */
	unsigned fit;           /* workers for which there is room; 0: memory does not say */
};

struct advise_report {
	const struct advise_machine *machine;
	unsigned address_count, program_count, note_count;
	struct advise_address addresses[ADVISE_ADDRESSES_MOST];
	struct advise_program programs[ADVISE_PROGRAMS_MOST];
	struct advise_program pool; /* PHP's pools (php-fpm), which requests need besides; workers 0: there are none */
	uint64_t database_bytes, noah_bytes, other_bytes, reserve_bytes, left_bytes;
	unsigned other_count;
	char database_names[128], largest_others[128];
	char notes[ADVISE_NOTES_MOST][ADVISE_NOTE_SIZE]; /* what cannot be known, what should be looked at */
};

/* The addresses are there, and the machine was looked at: everything else. `limits`, of each process of the machine, may be
 * NULL. */
void advise_size(struct advise_report *report, const struct advise_machine *machine, const uint64_t *limits);

#endif

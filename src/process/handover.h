/* SPDX-License-Identifier: BSD-2-Clause
 *
 * handover: what one supervisor leaves to the one that takes its place in the same process (noah upgrade).
 *
 * It is written as one JSON object into a sealed memory file, which the next program inherits together with the descriptors that
 * it names. Members are only ever added: a reader passes over those that it does not know, and refuses a record that is older
 * than HANDOVER_LEAST. Written by upgrade.c, read by take_over.c, also in the program that is asked beforehand whether it could
 * take over.
 */
#ifndef NOAH_HANDOVER_H
#define NOAH_HANDOVER_H

#include "process/supervisor_private.h"

#define HANDOVER_FORMAT 1
#define HANDOVER_LEAST  1 /* the oldest format that this program can go on from */

/* Its number is the value of this variable in the environment of the next program. */
#define HANDOVER_VARIABLE "NOAH_HANDOVER"
/* Likewise of the table of addresses: a program of before 0.3 does not hand it on, but leaves variable and descriptor as they are
 * to the next one. */
#define HANDOVER_GUARD_VARIABLE "NOAH_GUARD"

struct handover {
	char version[PROGRAM_VERSION_SIZE];     /* of the program whose traffic serves */
	char failure[HANDOVER_FAILURE_SIZE];    /* a newer program gives back: why; "": an upgrade */
	char program[PROGRAM_PATH_SIZE];        /* the file that the reader runs */
	char former_program[PROGRAM_PATH_SIZE]; /* of an upgrade: the one that wrote this */
	int former_descriptor;                  /* and its file, which may be gone from there; -1: none */
	int board, snapshot, control;
	int keyring; /* -1: none */
	int guard;   /* the table of addresses; -1: none */
	uint64_t generation;
	uint64_t started_wall_us;
	unsigned threads, first_lane; /* of the traffic that serves */
	uint32_t next_listener_id;
	bool announced;
	struct child children[PROCESS_ROWS];
	unsigned listener_count;
	struct listener listeners[LISTENERS_MOST];
	unsigned retired_count;
	struct retired retired[RETIRED_MOST];
	unsigned client_count;
	struct control_client clients[CONTROL_CLIENTS_MOST]; /* those whose request is not answered yet */
};

/* A sealed memory file with the record, or -errno. */
int handover_write(const struct handover *handover) MUST_CHECK;
/* The record of a memory file, to be freed. NULL: `why` tells what is wrong with it. No descriptor is touched. */
struct handover *handover_read(int descriptor, char *why, size_t why_size) MUST_CHECK;
/* Every descriptor that the record names stays open in the next program (keep), or is closed there again. False: one is not open.
 */
bool handover_keep_descriptors(const struct handover *handover, bool keep) MUST_CHECK;

#endif

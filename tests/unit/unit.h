/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What every unit test includes: cmocka in the order in which it wants its headers.
 */
#ifndef NOAH_UNIT_H
#define NOAH_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif

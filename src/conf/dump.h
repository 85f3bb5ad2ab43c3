/* SPDX-License-Identifier: BSD-2-Clause */
/* -T: every file that was read, once, in order of first use. */
#pragma once

#include "conf/tree.h"

#include <stdio.h>

void conf_dump(const struct conf_tree *tree, FILE *out);

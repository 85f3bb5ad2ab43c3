/* SPDX-License-Identifier: BSD-2-Clause */
#include "conf/dump.h"

void
conf_dump(const struct conf_tree *tree, FILE *out)
{
    for (const struct conf_file *f = tree->files; f != NULL; f = f->next) {
        if (f->is_command_line) {
            continue;
        }
        fprintf(out, "# configuration file %.*s:\n%.*s\n", SLICE_ARG(f->path), SLICE_ARG(f->text));
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* What a balancing method is: it chooses among the peers that are usable for a try, nothing else. */
#pragma once

#include "upstream/group.h"

struct up_balancer {
    const char *directive; /* as the upstream block names it; NULL: the default */
    bool no_backup; /* the method cannot work with backup servers */
    /* Called with the group's state locked; NULL when no peer of the tier is usable. */
    struct up_peer *(*pick)(struct up_group *group, const struct up_try *try);
};

extern const struct up_balancer up_round_robin;

/* Is this peer of the tier in turn, up, below max_conns and not tried yet? */
bool up_peer_usable(const struct up_peer *peer, const struct up_try *try);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Smooth weighted round robin. Each turn every usable peer gains its effective weight; the one that
 * has most is chosen and pays the sum of all. Weights 5,1,1 so give a a b a c a a and not a run of
 * five. A peer that failed comes back with a low effective weight that recovers by one each turn.
 */
#include "upstream/balancer.h"

static struct up_peer *
round_robin_pick(struct up_group *group, const struct up_try *try)
{
    struct up_peer *best = NULL;
    int64_t total = 0;

    for (uint32_t i = 0; i < group->n_peers; i++) {
        struct up_peer *peer = &group->peers[i];
        struct up_peer_shared *s = &group->shared->peers[i];

        if (!up_peer_usable(peer, try)) {
            continue;
        }
        s->current_weight += s->effective_weight;
        total += s->effective_weight;
        if (s->effective_weight < peer->weight) {
            s->effective_weight++;
        }
        if (best == NULL ||
            s->current_weight > group->shared->peers[best->index].current_weight) {
            best = peer;
        }
    }
    if (best != NULL) {
        group->shared->peers[best->index].current_weight -= (int32_t)total;
    }
    return best;
}

const struct up_balancer up_round_robin = { .directive = NULL, .pick = round_robin_pick };

# SPDX-License-Identifier: BSD-2-Clause
# Which location answers (t/behaviour/03-location.md).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Fairlead;
use Fairlead::Facts qw(bytes printable);

my $facts = Fairlead::Facts->load('03-location');
my $srv   = Fairlead->new(http => $facts->code(0));

for my $row ($facts->rows) {
    my $r = $srv->get(bytes($row->{request}));
    is($r->body, $row->{body}, printable("$row->{request}: $row->{body}"));
}

$srv->ok_clean;
done_testing;

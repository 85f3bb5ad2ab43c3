# SPDX-License-Identifier: BSD-2-Clause
# URI normalization: $uri and $args with merge_slashes on and off (t/behaviour/05-uri.md).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Fairlead;
use Fairlead::Facts qw(bytes printable);

my $facts = Fairlead::Facts->load('05-uri');
my $srv   = Fairlead->new(http => <<'CONF');
server { listen 127.0.0.1:%%PORT%%; location / { return 200 "uri=[$uri] args=[$args] is_args=[$is_args]"; } }
server { listen 127.0.0.1:%%PORT2%%; merge_slashes off;
         location / { return 200 "uri=[$uri] args=[$args] is_args=[$is_args]"; } }
CONF

for my $row ($facts->rows) {
    my ($target, $on, $off) = @{$row}{
        'request-target', 'merge_slashes on (default)', 'merge_slashes off, where different'
    };
    $off    = $on if $off eq 'same';
    $target = ''  if $target eq '(empty)';
    check($target, 'PORT',  $on,  'merge_slashes on');
    check($target, 'PORT2', $off, 'merge_slashes off');
}

sub check {
    my ($target, $port, $expected, $setting) = @_;
    my $r   = $srv->get(bytes($target), port => $port);
    my $got = $r->status == 200 ? $r->body : $r->status . ' ' . $r->reason;
    is(printable($got), printable(bytes($expected)), printable("$setting, $target: $expected"));
    return;
}

$srv->ok_clean;
done_testing;

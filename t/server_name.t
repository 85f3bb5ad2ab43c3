# SPDX-License-Identifier: BSD-2-Clause
# Which server answers, by Host (t/behaviour/04-server-name.md).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Fairlead;
use Fairlead::Check;
use Fairlead::Facts;

my $facts = Fairlead::Facts->load('04-server-name');
my $srv   = Fairlead->new(http => $facts->code(0));

for my $row ($facts->rows) {
    my $host = $row->{Host};
    my %opt;
    $opt{port} = 'PORT2' if $host =~ s/ on the second port$//;
    $opt{host} = $host;
    @opt{qw(version host)} = ('1.0', undef) if $host =~ /no Host header/;
    $opt{host} = '' if $host eq 'Host: with empty value';
    my $r    = $srv->request(%opt);
    my $name = "$row->{Host}: $row->{body}";
    if ($row->{body} =~ /^\d{3} /) {
        check_result($srv, $r, $row->{body}, $name);
    } else {
        is($r->body, $row->{body}, $name);
    }
}

$srv->ok_clean;
done_testing;

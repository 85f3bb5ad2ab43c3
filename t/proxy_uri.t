# SPDX-License-Identifier: BSD-2-Clause
# proxy_pass: which URI goes to the upstream (t/behaviour/01-proxy-uri.md).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Fairlead;
use Fairlead::Facts qw(bytes printable);
use Fairlead::Upstream;

my $facts = Fairlead::Facts->load('01-proxy-uri');
my @rows  = $facts->rows;

my (@locations, %seen);
for my $row (@rows) {
    my $content = defined $row->{proxy_pass} ? "proxy_pass $row->{proxy_pass};" : $row->{content};
    ($row->{pattern} = $row->{location}) =~ s/ \((\w+)\)$//;
    $row->{method} = $1 || 'GET';
    next if $seen{ $row->{pattern} }++;
    push @locations, "location $row->{pattern} { $content }\n";
}

my $up  = Fairlead::Upstream->new;
my $srv = Fairlead->new(
    http => "server { listen 127.0.0.1:%%PORT%%; root html;\n@locations"
        . "location \@n { proxy_pass http://127.0.0.1:%%UP%%; }\n}",
    ports => { UP => $up },
);

for my $row (@rows) {
    my $target   = $srv->subst($row->{'client request-target'});
    my $expected = $srv->subst($row->{'upstream request-target'});
    my $name     = printable("$row->{method} $target, location $row->{location}: $expected");
    $up->clear;
    my $r = $srv->request(method => $row->{method}, uri => bytes($target));
    my ($got) = map { /^\S+ (.*) HTTP\// } $up->requests;
    if ($expected =~ /^no request; client got (.*)/) {
        is((defined $got ? "request $got" : 'no request') . '; ' . $r->status_line, "no request; HTTP/1.1 $1", $name);
    } else {
        is(printable(defined $got ? $got : 'no request, ' . $r->status_line), printable(bytes($expected)), $name);
    }
}

$srv->ok_clean;
done_testing;

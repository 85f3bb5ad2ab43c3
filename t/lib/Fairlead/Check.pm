# SPDX-License-Identifier: BSD-2-Clause
package Fairlead::Check;

=head1 NAME

Fairlead::Check - compare responses with the notation of t/behaviour

=head1 SYNOPSIS

    check_result($srv, $r, '301 Moved Permanently | Location: http://localhost:%%PORT%%/dir/', $name);
    check_result($srv, $r, '200 OK | body: ok | Connection: close | then closed', $name, conn => $c);
    check_response($srv, $r, $text, $name);              # a complete response as in 10-header-order.md
    is($r->body, default_page($srv, 404), $name);

check_result is one assertion over all parts of the text:

    200 OK                  status and reason
    (nothing)               no byte came
    body: TEXT              the body; "(empty)", "default page" and "page" have their meaning
    Name: value             a header; a value "-" means that it is not there
    stays open, then closed the connection (conn => a Fairlead::Client; probe => the request that finds out)

check_response compares status line, header lines in order, and body (line ends of the text are CRLF in the head; the body
as written without its last newline). "<date>" is any HTTP date, "(default page)" the built-in page, "<binary>" anything.

=cut

use strict;
use warnings;
use Exporter qw(import);
use Test::More ();
use Fairlead::Facts qw(bytes printable);

our @EXPORT = qw(check_result check_response default_page http_date_re);

my %titles;    # status => title of its built-in page

sub http_date_re { return qr/(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT/ }

sub default_page {
    my ($srv, $status) = @_;
    if (!%titles) {
        my $facts = Fairlead::Facts->load('09-error-page');
        $titles{ $_->{code} } = $_->{TITLE} for grep { defined $_->{TITLE} } $facts->rows(0);
    }
    my $title = $titles{$status};
    return undef if !defined $title || $title eq 'no body';
    my $text = "<html>\n<head><title>$title</title></head>\n<body>\n<center><h1>$title</h1></center>\n<hr><center>"
        . $srv->server_token . "</center>\n</body>\n</html>\n";
    $text =~ s/\n/\r\n/g;
    return $text;
}

sub check_result {
    my ($srv, $r, $expected, $name, %opt) = @_;
    my @wrong;
    for my $part (split / \| /, $srv->subst($expected)) {
        my $why = _part($srv, $r, $part, %opt);
        push @wrong, $why if defined $why;
    }
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    Test::More::ok(!@wrong, $name);
    Test::More::diag("wanted: $expected\n", map { "$_\n" } @wrong, 'got: ', printable(substr $r->raw, 0, 2000)) if @wrong;
    return !@wrong;
}

sub _part {
    my ($srv, $r, $part, %opt) = @_;
    if ($part =~ /^\d{3}(?: |$)/) {
        return $r->status_line eq "HTTP/1.1 $part" ? undef : 'status line is ' . $r->status_line;
    }
    if ($part eq '(nothing)') {
        return $r->raw eq '' ? undef : 'something came';
    }
    if ($part eq 'stays open' || $part eq 'then closed') {
        my $fine = $part eq 'stays open' ? $opt{conn}->stays_open($opt{probe}) : $opt{conn}->closed;
        return $fine ? undef : "not: $part";
    }
    if ($part =~ /^body: (.*)/s) {
        my $body = $1;
        $body = '' if $body eq '(empty)';
        $body = default_page($srv, $r->status) if $body eq 'default page' || $body eq 'page';
        return "no such page" unless defined $body;
        return $r->body eq bytes($body) ? undef : 'body is ' . printable($r->body);
    }
    if ($part =~ /^([^:]+): (.*)/s) {
        my ($name, $value) = ($1, $2);
        my $got = join ', ', $r->header_all($name);
        $value = '' if $value eq '-';
        return $got eq $value ? undef : "$name is \"$got\"";
    }
    die "check_result: cannot read \"$part\"\n";
}

sub check_response {
    my ($srv, $r, $expected, $name) = @_;
    my ($head, $body) = split /\n\n/, $srv->localise($srv->subst($expected)), 2;
    $body = '' unless defined $body;
    $body =~ s/\n\z//;
    my $got_head = join "\n", map { s/\s+$//r } $r->status_line, $r->header_lines;
    my $date     = http_date_re();
    my $pattern  = quotemeta $head;
    $pattern =~ s/\\<date[^>]*\\>/$date/g;
    my @wrong;
    push @wrong, 'head' unless $got_head =~ /^$pattern\n?$/;
    push @wrong, 'body' unless _same_body($srv, $r, $body);
    push @wrong, "broken off: " . $r->error if $r->error;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    Test::More::ok(!@wrong, $name);
    Test::More::diag("differs: @wrong\nwanted:\n$head\n\n$body\n---- got:\n$got_head\n\n", $r->content, "\n----") if @wrong;
    return !@wrong;
}

sub _same_body {
    my ($srv, $r, $body) = @_;
    return 1 if $body eq '<binary>';
    my $got = $r->content;
    if ($body eq '(default page)') {
        my $page = default_page($srv, $r->status);
        return defined $page && $got eq $page;
    }
    for ($got, $body) {
        s/\r\n/\n/g;
        s/\n+\z//;
    }
    return $got eq $body;
}

1;

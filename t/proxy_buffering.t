#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Bodies in both directions: buffers, temporary files, slow clients, request buffering on and off.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Digest::MD5 qw(md5_hex);
use Fairlead;
use Fairlead::Upstream;

my $size = 5_000_000;
my $data = join '', map { chr(33 + $_ % 90) } 1 .. 9973;
$data x= int($size / 9973);
my $n = length $data;
sub drip {
    my ($c, $k) = @_;
    $c->send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n");
    $c->wait_for("a$k");
    $c->send('half');
    $c->wait_for("b$k");
    $c->send('rest');
}
my $up = Fairlead::Upstream->new(resp => {
    len   => sub { my $c = shift; $c->send("HTTP/1.1 200 OK\r\nContent-Length: $n\r\n\r\n$data"); $c->note('sent') },
    chunk => sub {
        my $c = shift;
        $c->send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (my ($at, $k) = (0, 1); $at < $n; $k = ($k * 7 + 13) % 30000 + 1) {
            my $p = substr $data, $at, $k;
            $c->send(sprintf("%x\r\n%s\r\n", length $p, $p));
            $at += length $p;
        }
        $c->send("0\r\n\r\n");
        $c->note('sent');
    },
    close => sub { my $c = shift; $c->send("HTTP/1.1 200 OK\r\n\r\n$data"); $c->note('sent'); $c->close },
    drip  => sub { drip($_[0], 1) },
    drip2 => sub { drip($_[0], 2) },
});
my $srv = Fairlead->new(
    http => <<'CONF',
    client_max_body_size 0;
    upstream u { server 127.0.0.1:%%UP%%; }
    server {
        listen 127.0.0.1:%%PORT%% sndbuf=16k;
        location / { proxy_pass http://u; }
        location /off { proxy_buffering off; proxy_pass http://u; }
        location /mem { proxy_max_temp_file_size 0; proxy_pass http://u; }
        location /small { proxy_max_temp_file_size 100k; proxy_temp_file_write_size 50k; proxy_pass http://u; }
        location /rate { proxy_limit_rate 4m; proxy_pass http://u; }
        location /stream { proxy_request_buffering off; proxy_pass http://u; }
        location /stream10 { proxy_request_buffering off; proxy_http_version 1.0; proxy_pass http://u; }
    }
CONF
    ports => { UP => $up },
);

for my $uri ('/', '/off', '/mem', '/small', '/rate') {
    for my $kind (qw(len chunk close)) {
        my $r = $srv->get($uri, headers => ["X-Resp: $kind"], keep => 1);
        is(md5_hex($r->body), md5_hex($data), "$uri $kind");
    }
}

# A client that does not read: with buffering the backend is rid of its answer all the same.
for my $kind (qw(len chunk close)) {
    $up->clear;
    my $c = $srv->connect('PORT');
    $c->send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Resp: $kind\r\n\r\n");
    ok(defined $up->wait_event('note'), "$kind: the backend is done before the client reads");
    my $r = $c->read_response;
    is(md5_hex($r->body), md5_hex($data), "$kind: and nothing is lost");
    ok($c->closed, "$kind: closed");
}
like($srv->error_log, qr/\[warn\] .* an upstream response is buffered to a temporary file .*temp\/proxy.* while reading upstream/, 'a temporary file was used');

# Without it, the backend waits.
for my $uri ('/off', '/mem', '/small') {
    $up->clear;
    my $c = $srv->connect('PORT');
    $c->send("GET $uri HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Resp: len\r\n\r\n");
    my $r = $c->read_response;
    is(md5_hex($r->body), md5_hex($data), "$uri: all of it");
}

# Bytes are passed on as they come.
for my $case (['/', 'drip', 1], ['/off', 'drip2', 2]) {
    my ($uri, $name, $k) = @$case;
    my $c = $srv->connect('PORT');
    $c->send("GET $uri HTTP/1.1\r\nHost: a\r\nX-Resp: $name\r\n\r\n");
    like($c->read_until(qr/\r\n\r\n/), qr/^HTTP\/1\.1 200/, "$uri: the head first");
    $up->release("a$k");
    is($c->read_bytes(4), 'half', "$uri: then a part");
    $up->release("b$k");
    is($c->read_until(qr/rest/), 'rest', "$uri: then the rest");
    $c->close;
}

# Request bodies.
my $big = substr $data, 0, 300_000;
for my $uri ('/', '/stream', '/stream10') {
    for my $len (0, 5, 100_000, 300_000) {
        $up->clear;
        my $body = substr $big, 0, $len;
        my $r = $srv->request(method => 'POST', uri => $uri, body => $body);
        is($r->status, 200, "$uri: POST of $len");
        my ($head, $got) = split /\r\n\r\n/, $r->body, 2;
        is(md5_hex($got), md5_hex($body), "$uri: $len bytes arrive");
        like($head, qr/^Content-Length: $len\r?$/m, "$uri: with their length");
    }
}

sub chunked {
    my ($uri, @pieces) = @_;
    my $c = $srv->connect('PORT');
    $c->send("POST $uri HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    return $c;
}
for my $uri ('/', '/stream', '/stream10') {
    $up->clear;
    my $c = chunked($uri);
    if ($uri eq '/stream') {
        ok(defined $up->wait_event('head'), "$uri: the head does not wait for the body");
    }
    $c->send("3\r\nabc\r\n");
    $c->send("2\r\nde\r\n0\r\n\r\n");
    my $r = $c->read_response;
    is($r->status, 200, "$uri: chunked");
    if ($uri eq '/stream') {
        like($up->last_request, qr/^Transfer-Encoding: chunked\r$/m, "$uri: stays chunked");
        unlike($up->last_request, qr/^Content-Length:/m, "$uri: without a length");
    } else {
        like($up->last_request, qr/\r\nContent-Length: 5\r\n.*\r\nabcde$/s, "$uri: gets a length");
    }
    ok($c->stays_open, "$uri: connection is good");
    $c->close;
}
$up->clear;
my $c = chunked('/stream');
$up->wait_event('head');
$c->send("zz\r\n");
is($c->read_response->status, 400, 'a bad chunk in a streamed body');
ok(defined $up->wait_event('partial'), 'the backend sees the connection end');

$srv->ok_clean;
done_testing;

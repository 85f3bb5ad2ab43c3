#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Connections to upstreams: when one serves several requests, and what happens when it has died meanwhile.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Fairlead;
use Fairlead::Upstream;

my $ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
my $up = Fairlead::Upstream->new(resp => {
    # answers, then closes when told, so that the next request meets a dead connection
    once => sub { my $c = shift; $c->send($ok); $c->wait_for('die'); $c->close },
    # keeps the connection, takes the next request and closes without an answer
    trap => sub { my $c = shift; $c->send($ok); $c->read_request; $c->close },
    more => sub { my $c = shift; $c->send($ok . 'EXTRA'); $c->wait_eof },
    clos => sub { my $c = shift; $c->send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"); $c->wait_eof },
    chunk => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
});
my $srv = Fairlead->new(
    http => <<'CONF',
    upstream plain { server 127.0.0.1:%%UP%%; }
    upstream ka0 { server 127.0.0.1:%%UP%%; keepalive 0; }
    upstream ka4 { server 127.0.0.1:%%UP%%; keepalive 4; }
    upstream kac { server 127.0.0.1:%%UP%%; keepalive 4; }
    upstream ka2r { server 127.0.0.1:%%UP%%; keepalive 4; keepalive_requests 2; }
    upstream kat { server 127.0.0.1:%%UP%%; keepalive 4; keepalive_timeout 200ms; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /addr { proxy_pass http://127.0.0.1:%%UP%%; }
        location /plain { proxy_pass http://plain; }
        location /ka0 { proxy_pass http://ka0; }
        location /ka4 { proxy_pass http://ka4; }
        location /close { proxy_set_header Connection close; proxy_pass http://kac; }
        location /v10 { proxy_http_version 1.0; proxy_pass http://kac; }
        location /ka2r { proxy_pass http://ka2r; }
        location /kat { proxy_pass http://kat; }
    }
CONF
    ports => { UP => $up },
);

sub conns {
    my ($uri, $want, $name) = @_;
    $up->clear;
    my $before = $up->connections;
    for (1 .. 4) {
        my $r = $srv->get($uri);
        is($r->status, 200, "$uri: answered");
    }
    is($up->connections - $before, $want, $name);
}
conns('/addr', 4, 'a plain address: a connection each');
conns('/plain', 1, 'an upstream block keeps them by itself');
conns('/ka0', 4, 'keepalive 0');
conns('/ka4', 1, 'keepalive 4');
conns('/close', 4, 'Connection: close');
conns('/v10', 4, 'HTTP/1.0');
conns('/ka2r', 2, 'keepalive_requests 2');

sub pair {
    my ($name, $method) = @_;
    my $r = $srv->get('/plain', headers => ["X-Resp: $name"]);
    is($r->status, 200, "$name: first");
    my $before = $up->connections;
    $r = $srv->request(method => $method, uri => '/plain');
    return ($r->status, $up->connections - $before);
}
my ($status, $new) = pair('more', 'GET');
is("$status $new", '200 1', 'a connection with unasked bytes is not used again');
($status, $new) = pair('clos', 'GET');
is("$status $new", '200 1', 'nor one that the peer closes');
($status, $new) = pair('chunk', 'GET');
is("$status $new", '200 0', 'after a chunked body it is');
($status, $new) = pair('trap', 'GET');
is("$status $new", '200 1', 'closed just as the next request came: tried again on a new one');
($status, $new) = pair('trap', 'POST');
is("$status $new", '502 0', 'but not for what may have had an effect');
$srv->mark;
($status, $new) = pair('trap', 'DELETE');
is("$status $new", '200 1', 'an idempotent one');

# Died while idle.
my $r = $srv->get('/plain', headers => ['X-Resp: once']);
$up->clear;
$up->release('die');
ok(defined $up->wait_event('eof') || 1, 'the backend closes an idle connection');
for (1 .. 3) {
    is($srv->get('/plain')->status, 200, 'and nobody notices');
}

# keepalive_timeout: the backend sees the end by itself.
$up->clear;
$srv->get('/kat');
ok(defined $up->wait_event('eof'), 'keepalive_timeout closes an idle connection');

$srv->ok_clean;
done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# 101: WebSockets with and without configuration, other protocols, h2c, and the bytes in the tunnel.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Fairlead;
use Fairlead::Upstream;

my $switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: %s\r\nSec-WebSocket-Accept: k\r\n\r\n";
sub echo {
    my ($proto) = @_;
    return sub {
        my ($c) = @_;
        $c->send(sprintf($switch, $proto) . 'hello-');    # first bytes right behind the head
        while (defined(my $b = $c->read_some)) { $c->send(uc $b) }
        $c->note('end');
        $c->close;
    };
}
my $up = Fairlead::Upstream->new(resp => {
    ws  => echo('websocket'),
    h2c => echo('h2c'),
    foo => echo('foo'),
    big => sub { my $c = shift; $c->send(sprintf $switch, 'websocket'); $c->wait_for('go'); $c->send('b' x 3_000_000); $c->wait_eof },
    quiet => sub { my $c = shift; $c->send(sprintf $switch, 'websocket'); $c->wait_eof },
});
my $srv = Fairlead->new(
    http => <<'CONF',
    server {
        listen 127.0.0.1:%%PORT%%;
        location / { proxy_pass http://127.0.0.1:%%UP%%; }
        location /ws { proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_pass http://127.0.0.1:%%UP%%; }
        location /off { proxy_set_header Connection ""; proxy_pass http://127.0.0.1:%%UP%%; }
        location /list { proxy_upgrade_protocols h2c; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_pass http://127.0.0.1:%%UP%%; }
        location /short { proxy_read_timeout 1s; proxy_pass http://127.0.0.1:%%UP%%; }
    }
CONF
    ports => { UP => $up },
);

my $key = 'dGhlIHNhbXBsZSBub25jZQ==';
my $ws  = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Key: $key\r\nSec-WebSocket-Version: 13\r\n";

sub ask {
    my ($uri, $headers) = @_;
    my $c = $srv->connect('PORT');
    $c->send("GET $uri HTTP/1.1\r\nHost: a\r\n$headers\r\n");
    return $c;
}

# Without any configuration.
my $c = ask('/', "${ws}X-Resp: ws\r\n");
my $head = $c->read_until(qr/hello-/);
like($head, qr/^HTTP\/1\.1 101 Switching Protocols\r\n.*Connection: upgrade\r\n.*Upgrade: websocket\r\n.*\r\n\r\nhello-$/s, 'a WebSocket without configuration');
like($up->last_request, qr/^Upgrade: websocket\r$/m, 'Upgrade was forwarded');
like($up->last_request, qr/^Connection: Upgrade\r$/m, 'and Connection');
$c->send('abc');
is($c->read_until(qr/ABC/), 'ABC', 'bytes come back');
$c->send('def' x 100_000);
my $got = $c->read_bytes(300_000);
is(length $got, 300_000, 'many of them');
$c->half_close;
ok(defined $up->wait_event('note'), 'the end arrives at the backend');
ok($c->closed, 'and comes back');

# What is no valid WebSocket request is not forwarded as one.
for my $bad ("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n",
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: $key\r\n",
    "Upgrade: foo\r\nConnection: Upgrade\r\nSec-WebSocket-Key: $key\r\nSec-WebSocket-Version: 13\r\n") {
    my $r = $srv->get('/', headers => [split /\r\n/, $bad], keep => 1);
    is($r->status, 200, 'an ordinary request');
    unlike($up->last_request, qr/^(Upgrade|Connection):/m, 'without Upgrade');
}

# Explicit settings win.
$c = ask('/ws', "Upgrade: foo\r\nConnection: Upgrade\r\nX-Resp: foo\r\n");
like($c->read_until(qr/hello-/), qr/101 Switching/, 'another protocol with explicit settings');
$c->close;
my $r = $srv->get('/off', headers => [split /\r\n/, $ws], keep => 1);
unlike($up->last_request, qr/^(Upgrade|Connection):/m, 'Connection "" turns it off');

# h2c never gets through, whoever asks.
$r = $srv->get('/ws', headers => ['Upgrade: h2c', 'Connection: Upgrade, HTTP2-Settings', 'HTTP2-Settings: AAMAAABkAAQAAP__']);
is($r->status, 200, 'h2c: an ordinary answer');
unlike($up->last_request, qr/^(Upgrade|Connection|HTTP2-Settings):/m, 'h2c: nothing of it is forwarded');
$r = $srv->get('/ws', headers => ['Upgrade: H2C, foo', 'Connection: Upgrade']);
like($up->last_request, qr/^Upgrade: foo\r$/m, 'only the other one of two is');
$srv->mark;
$r = $srv->get('/ws', headers => ['Upgrade: foo', 'Connection: Upgrade', 'X-Resp: h2c']);
is($r->status, 502, 'a 101 to h2c is refused');
ok($srv->wait_for_log(qr/upstream switched to protocol "h2c", which is not allowed/), 'and logged');
$c = ask('/list', "Upgrade: h2c\r\nConnection: Upgrade\r\nX-Resp: h2c\r\n");
like($c->read_until(qr/hello-/), qr/101 Switching/, 'unless it is listed');
$c->close;

# 101 nobody asked for: as nginx.
$c = ask('/', "X-Resp: ws\r\n");
like($c->read_until(qr/hello-/), qr/101 Switching/, 'a 101 without Upgrade passes');
$c->close;

# Back-pressure: the client reads late.
$c = ask('/', "${ws}X-Resp: big\r\n");
$c->read_until(qr/\r\n\r\n/);
$up->release('go');
is(length $c->read_bytes(3_000_000), 3_000_000, 'three megabytes from the backend');
$c->close;

# Idle for proxy_read_timeout.
$srv->mark;
$c = ask('/short', "${ws}X-Resp: quiet\r\n");
$c->read_until(qr/\r\n\r\n/);
ok($c->closed, 'an idle tunnel is closed');
ok($srv->wait_for_log(qr/\[info\] .* upstream timed out \(110: Connection timed out\) while proxying upgraded connection, client: .* upstream: "http:/), 'with its log line')
    or diag $srv->new_log;

$srv->ok_clean;
done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Backends that refuse, stall, answer garbage, answer early, close in the middle, send more or less than they said.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Fairlead;
use Fairlead::Upstream;

my $ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
my %resp = (
    close    => sub { $_[0]->close },
    reset    => sub { $_[0]->reset },
    stall    => sub { $_[0]->wait_eof },
    cut      => sub { $_[0]->send("HTTP/1.1 200 OK\r\nContent-Le"); $_[0]->close },
    short    => sub { $_[0]->send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"); $_[0]->close },
    chunkcut => sub { $_[0]->send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"); $_[0]->close },
    badchunk => sub { $_[0]->send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello"); $_[0]->wait_eof },
    bodystall => sub { $_[0]->send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"); $_[0]->wait_eof },
    big      => "HTTP/1.1 200 OK\r\nX-Big: " . ('x' x 5000) . "\r\nContent-Length: 0\r\n\r\n",
    endless  => sub { my $c = shift; $c->send("HTTP/1.1 200 OK\r\n"); for (1 .. 5000) { $c->send("X-$_: " . ('y' x 60) . "\r\n") or last } },
    garbage  => "GARBAGE\r\n\r\nbody",
    badstat  => "HTTP/1.1 abc OK\r\n\r\n",
    stat99   => "HTTP/1.1 99 X\r\nContent-Length: 0\r\n\r\n",
    stat999  => "HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n",
    nocolon  => "HTTP/1.1 200 OK\r\nBad header\r\nContent-Length: 0\r\n\r\n",
    nul      => "HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n",
    folded   => "HTTP/1.1 200 OK\r\nX-A: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    twocl    => "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    badcl    => "HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nx",
    negcl    => "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx",
    clte     => "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    tegzip   => "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
    more     => "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxEXTRA",
    body204  => "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc",
    cl304    => "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n",
    barelf   => "HTTP/1.1 200 OK\nContent-Length: 1\n\nx",
    twoloc   => "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nLocation: /a\r\nLocation: /b\r\n\r\nx",
    odd      => "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX_A: v\r\nX.B: v\r\n\r\nx",
    cont     => "HTTP/1.1 100 Continue\r\n\r\n$ok",
    hints    => "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n$ok",
    manyhints => sub { my $c = shift; $c->send("HTTP/1.1 103 Early Hints\r\n\r\n" x 100); $c->wait_eof },
    early    => sub { my $c = shift; $c->send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig"); $c->close },
    until    => sub { $_[0]->send("HTTP/1.0 200 OK\r\n\r\nto the end"); $_[0]->close },
    nothing  => sub { $_[0]->send("HTTP/1.1 200 OK\r\n\r\n"); $_[0]->close },
);
my $up = Fairlead::Upstream->new(resp => \%resp);

my $srv = Fairlead->new(
    http => <<'CONF',
    upstream one { server 127.0.0.1:%%UP%%; }
    upstream two { server 127.0.0.1:%%DEAD%% max_fails=0; server 127.0.0.1:%%UP%% backup; }
    upstream alldead { server 127.0.0.1:%%DEAD%%; server 127.0.0.1:%%DEAD2%%; }
    upstream marked { server 127.0.0.1:%%UP%% down; }
    server {
        listen 127.0.0.1:%%PORT%%;
        proxy_read_timeout 1s;
        location / { proxy_pass http://one; }
        location /unbuf { proxy_buffering off; proxy_pass http://one; }
        location /dead { proxy_pass http://127.0.0.1:%%DEAD%%; }
        location /nosock { proxy_pass http://unix:%%PREFIX%%/no.sock:/; }
        location /two { proxy_pass http://two; }
        location /alldead { proxy_pass http://alldead; }
        location /marked { proxy_pass http://marked; }
    }
CONF
    ports => { UP => $up },
);

sub fails {
    my ($name, $status, $log, %opt) = @_;
    $srv->mark;
    my $r = $srv->get($opt{uri} // '/', headers => ["X-Resp: $name"], keep => 1);
    is($r->status, $status, "$name: status");
    if ($log) {
        ok($srv->wait_for_log($log), "$name: log") or diag $srv->new_log;
    }
    return $r;
}

my $r = fails('none', 502, qr/\[error\] .* connect\(\) failed \(111: Connection refused\) while connecting to upstream, client: 127\.0\.0\.1, server: , request: "GET \/dead HTTP\/1\.1", upstream: "http:\/\/127\.0\.0\.1:\d+\/dead", host: "/,
    uri => '/dead');
like($r->body, qr/502 Bad Gateway/, 'the built-in page');
fails('none', 502, qr/\[crit\] .* connect\(\) to unix:.*no\.sock failed \(2: No such file or directory\) while connecting to upstream/, uri => '/nosock');
fails('none', 200, qr/connect\(\) failed/, uri => '/two');
fails('none', 502, qr/connect\(\) failed.*connect\(\) failed/s, uri => '/alldead');
fails('none', 502, qr/\[error\] .* no live upstreams while connecting to upstream.*upstream: "http:\/\/alldead\/alldead"/, uri => '/alldead');
fails('none', 502, qr/no live upstreams while connecting to upstream/, uri => '/marked');

fails('close', 502, qr/\[error\] .* upstream prematurely closed connection while reading response header from upstream/);
fails('reset', 502, qr/\[error\] .* (recv\(\) failed \(104|upstream prematurely closed).* while reading response header from upstream/);
fails('stall', 504, qr/\[error\] .* upstream timed out \(110: Connection timed out\) while reading response header from upstream/);
fails('cut', 502, qr/upstream prematurely closed connection while reading response header from upstream/);
for my $uri ('/', '/unbuf') {
    $r = fails('short', 200, qr/\[error\] .* upstream prematurely closed connection while reading upstream/, uri => $uri);
    is($r->body, 'half', "short $uri: what came");
    is($r->error, 'eof', "short $uri: then closed");
}
$r = fails('chunkcut', 200, qr/upstream prematurely closed connection while reading upstream/);
is($r->error, 'eof', 'chunkcut: no last chunk');
like($r->body, qr/hel/, 'chunkcut: what came');
$r = fails('bodystall', 200, qr/\[error\] .* upstream timed out \(110: Connection timed out\) while reading upstream/);
is($r->error, 'eof', 'bodystall: closed');
fails('big', 502, qr/\[error\] .* upstream sent too big header while reading response header from upstream/);
fails('endless', 502, qr/upstream sent too big header/);
fails('garbage', 502, qr/\[error\] .* upstream sent no valid HTTP\/1\.0 header while reading response header from upstream/);
fails('badstat', 502, qr/upstream sent no valid HTTP\/1\.0 header/);
fails('stat99', 502, qr/upstream sent no valid HTTP\/1\.0 header/);
fails('stat999', 999);
fails('nocolon', 502, qr/upstream sent invalid header: "Bad\\x20\.\.\." while/);
fails('nul', 502, qr/upstream sent invalid header: "X-A: a\\x00\.\.\." while/);
fails('folded', 502, qr/upstream sent invalid header: "\\x20\.\.\." while/);
fails('twocl', 502, qr/upstream sent duplicate header line: "Content-Length: 2", previous value: "Content-Length: 1" while/);
fails('badcl', 502, qr/upstream sent invalid "Content-Length" header: "Content-Length: abc" while/);
fails('negcl', 502, qr/upstream sent invalid "Content-Length" header/);
fails('clte', 502, qr/upstream sent "Content-Length" and "Transfer-Encoding" headers at the same time while/);
fails('tegzip', 502, qr/upstream sent unknown "Transfer-Encoding": "gzip" while/);
$r = fails('more', 200, qr/\[warn\] .* upstream sent more data than specified in "Content-Length" header while reading upstream/);
is($r->body, 'x', 'more: only what was announced');
$r = fails('body204', 204);
$r = fails('cl304', 304);
$r = fails('barelf', 200);
is($r->body, 'x', 'barelf');
$r = fails('twoloc', 200, qr/\[warn\] .* upstream sent duplicate header line: "Location: \/b", previous value: "Location: \/a", ignored while/);
is_deeply([$r->header_all('Location')], ['/a'], 'twoloc: the first');
$r = fails('odd', 200);
is($r->header('X_A') . $r->header('X.B'), 'vv', 'odd names pass');
$r = fails('cont', 200);
is($r->body, 'ok', 'a 100 is skipped');
$r = fails('hints', 200);
unlike($r->raw, qr/103/, 'a 103 is not passed by default');
fails('manyhints', 502, qr/too many interim responses/);
$r = fails('until', 200);
is($r->body, 'to the end', 'a body that ends with the connection');
$r = fails('nothing', 200);
is($r->body, '', 'an empty one');

# A backend that answers before it has the request's body, and closes.
$r = $srv->request(method => 'POST', uri => '/', headers => ['X-Resp: early'], body => 'z' x 60000);
is($r->status, 413, 'an early answer is passed on');
is($r->body, 'big', 'with its body');

# After all that the client's connection of an ordinary failure is still good.
my $c = $srv->connect('PORT');
$c->send("GET /dead HTTP/1.1\r\nHost: a\r\n\r\n");
is($c->read_response->status, 502, '502 on a kept connection');
ok($c->stays_open, 'which stays open');
$c->close;

# A client that goes away takes the upstream connection with it.
$up->clear;
$c = $srv->connect('PORT');
$c->send("GET /gone HTTP/1.1\r\nHost: a\r\nX-Resp: stall\r\n\r\n");
$up->wait_requests(1);
$srv->mark;
$c->close;
ok(defined $up->wait_event('eof'), 'the upstream sees the end');
ok($srv->wait_for_log(qr/client prematurely closed connection/), 'and the log says why');

$srv->ok_clean;
done_testing;

# SPDX-License-Identifier: BSD-2-Clause
# The request as the upstream receives it, byte for byte (t/behaviour/02-proxy-request.md).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Fairlead;
use Fairlead::Facts qw(bytes printable);
use Fairlead::Upstream;

# Older servers speak HTTP/1.0 and "Connection: close" to upstreams by default, know no `keepalive 0`, and their
# $proxy_add_x_forwarded_for has only one of several headers.  They are made to speak 1.1, so that the rows still mean
# something there; what is left of the difference is put into the expectation by as_before().
my $modern = Fairlead->since('1.29.7');
my %since  = ('$proxy_add_x_forwarded_for, client sent two' => '1.23', 'upstream with keepalive 0' => '1.29.7',
    'TE, Trailer, Upgrade, Proxy-Connection, Proxy-Authorization' => '1.29.7');
my $version_1_1 = $modern ? '' : 'proxy_http_version 1.1;';
my $keepalive_0 = $modern ? 'keepalive 0;' : '';

my $up  = Fairlead::Upstream->new;
my $srv = Fairlead->new(ports => { UP => $up }, http => <<"CONF");
upstream plain { server 127.0.0.1:%%UP%%; }
upstream ka { server 127.0.0.1:%%UP%%; keepalive 4; }
upstream noka { server 127.0.0.1:%%UP%%; $keepalive_0 }

server {
    listen 127.0.0.1:%%PORT%%;
    server_name s.example;
    $version_1_1

    location / { proxy_pass http://127.0.0.1:%%UP%%; }
    location /v10 { proxy_pass http://127.0.0.1:%%UP%%; proxy_http_version 1.0; }
    location /v11 { proxy_pass http://127.0.0.1:%%UP%%; proxy_http_version 1.1; }
    location /up { proxy_pass http://plain; }
    location /ka { proxy_pass http://ka; }
    location /noka { proxy_pass http://noka; }
    location /port { proxy_pass http://localhost:%%UP%%; }
    location /host { proxy_pass http://127.0.0.1:%%UP%%; proxy_set_header Host \$host; }
    location /hhost { proxy_pass http://127.0.0.1:%%UP%%; proxy_set_header Host \$http_host; }
    location /ehost { proxy_pass http://127.0.0.1:%%UP%%; proxy_set_header Host ""; }
    location /rm { proxy_pass http://127.0.0.1:%%UP%%; proxy_set_header X-A ""; proxy_set_header x-b ""; }
    location /dup { proxy_pass http://127.0.0.1:%%UP%%; proxy_set_header X-A 1; proxy_set_header X-A 2; }
    location /xff {
        proxy_pass http://127.0.0.1:%%UP%%;
        proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
        proxy_set_header X-Real-IP \$remote_addr;
        proxy_set_header X-Proto \$scheme;
    }
    location /conn { proxy_pass http://127.0.0.1:%%UP%%; proxy_set_header Connection ""; }
    location /up1 {
        proxy_pass http://127.0.0.1:%%UP%%;
        proxy_set_header Upgrade \$http_upgrade;
        proxy_set_header Connection upgrade;
    }
    location /nohdr { proxy_pass http://127.0.0.1:%%UP%%; proxy_pass_request_headers off; }
    location /unbuf { proxy_pass http://127.0.0.1:%%UP%%; proxy_request_buffering off; }
    location /unbuf10 { proxy_pass http://127.0.0.1:%%UP%%; proxy_request_buffering off; proxy_http_version 1.0; }
    location /nobody { proxy_pass http://127.0.0.1:%%UP%%; proxy_pass_request_body off; }
    location /nobody2 {
        proxy_pass http://127.0.0.1:%%UP%%;
        proxy_pass_request_body off;
        proxy_set_header Content-Length "";
    }
    location /meth { proxy_pass http://127.0.0.1:%%UP%%; proxy_method PUT; }
    location /setbody { proxy_pass http://127.0.0.1:%%UP%%; proxy_set_body "b=\$request_method"; }
    location /cl { proxy_pass http://127.0.0.1:%%UP%%; proxy_set_header Content-Length 3; }
}
CONF

# case => the client's request: [method and target, lines...], body, and what else the case needs
#   split    these bytes are sent when the upstream has seen the head, the body when it has seen them
#   partial  the upstream waits for a body that never comes: its bytes are compared when the client has gone
my %cases = (
    'GET /, Host: s.example, no other headers'         => { head => ['GET / HTTP/1.1', 'Host: s.example'] },
    'HTTP/1.0 GET / without Host'                      => { head => ['GET / HTTP/1.0'] },
    'proxy_http_version 1.0'                           => get('/v10'),
    'proxy_http_version 1.1'                           => get('/v11'),
    'proxy_pass http://plain (upstream block)'         => get('/up'),
    'upstream with keepalive 4'                        => get('/ka'),
    'upstream with keepalive 0'                        => get('/noka'),
    'proxy_pass http://localhost:%%UP%%'               => get('/port'),
    'Host $host; client Host: EXAMPLE.com:8080'        => { head => ['GET /host HTTP/1.1', 'Host: EXAMPLE.com:8080'] },
    'Host $http_host; client Host: EXAMPLE.com:8080'   => { head => ['GET /hhost HTTP/1.1', 'Host: EXAMPLE.com:8080'] },
    'Host $host; HTTP/1.0 without Host, server_name s.example' => { head => ['GET /host HTTP/1.0'] },
    'Host ""'                                          => get('/ehost'),
    'header order, case, duplicates' =>
        get('/', 'user-AGENT: ua', 'X-b: 2', 'X-A: 1', 'x-a: 3', 'Cookie: a=1', 'Cookie: b=2', 'Accept: */*'),
    'hop-by-hop: Connection: keep-alive, X-Foo' => get('/', 'Connection: keep-alive, X-Foo', 'X-Foo: 1', 'Keep-Alive: 300'),
    'TE, Trailer, Upgrade, Proxy-Connection, Proxy-Authorization' => get('/', 'TE: trailers', 'Trailer: X', 'Upgrade: foo',
        'Proxy-Connection: keep-alive', 'Proxy-Authorization: Basic x'),
    'Expect: 100-continue with body'          => post('/', 'ab', 'Content-Length: 2', 'Expect: 100-continue'),
    'remove by empty value (case-insensitive)' => get('/rm', 'X-A: 1', 'X-B: 2', 'X-C: 3'),
    'same name set twice; client also sends it' => get('/dup', 'X-A: 9'),
    '$proxy_add_x_forwarded_for, none from client' => get('/xff'),
    '$proxy_add_x_forwarded_for, client sent two' =>
        get('/xff', 'X-Forwarded-For: 1.1.1.1, 2.2.2.2', 'X-Forwarded-For: 3.3.3.3'),
    'Connection ""'                                => get('/conn'),
    'Upgrade $http_upgrade without client Upgrade' => get('/up1'),
    'proxy_pass_request_headers off'               => get('/nohdr', 'X-A: 1', 'Accept: */*'),
    'POST Content-Length: 5'                       => post('/', 'hello', 'Content-Length: 5', 'Content-Type: text/plain'),
    'POST chunked, buffered' => post('/', "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 'Transfer-Encoding: chunked'),
    'POST chunked, proxy_request_buffering off' => post('/unbuf', "3\r\nabc\r\n0\r\n\r\n", 'Transfer-Encoding: chunked'),
    'POST chunked, proxy_request_buffering off, body arrives after the header' =>
        { split => "3\r\nabc\r\n", %{ post('/unbuf', "2\r\nde\r\n0\r\n\r\n", 'Transfer-Encoding: chunked') } },
    'same, version 1.0' => post('/unbuf10', "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 'Transfer-Encoding: chunked'),
    'POST chunked, proxy_request_buffering off, version 1.0' =>
        post('/unbuf10', "3\r\nabc\r\n0\r\n\r\n", 'Transfer-Encoding: chunked'),
    'POST Content-Length, proxy_request_buffering off' => post('/unbuf', 'abc', 'Content-Length: 3'),
    'POST without length'     => post('/', ''),
    'POST Content-Length: 0'  => post('/', '', 'Content-Length: 0'),
    'GET with body'           => { %{ get('/', 'Content-Length: 2') }, body => 'ab' },
    'proxy_pass_request_body off (upstream waits for more body)' =>
        { partial => 1, %{ post('/nobody', 'hello', 'Content-Length: 5') } },
    'proxy_pass_request_body off; Content-Length ""' => post('/nobody2', 'hello', 'Content-Length: 5'),
    'proxy_method PUT; client GET'                   => get('/meth'),
    'proxy_set_body "b=$request_method"'             => get('/setbody'),
    'proxy_set_header Content-Length 3; GET (upstream waits for more body)' => { partial => 1, %{ get('/cl') } },
    'unknown method FOO' => { head => ['FOO / HTTP/1.1', 'Host: s.example'] },
    'OPTIONS *'          => { head => ['OPTIONS * HTTP/1.1', 'Host: s.example'] },
    'absolute-form http://other.example:81/p?q, Host: h.example' =>
        { head => ['GET http://other.example:81/p?q HTTP/1.1', 'Host: h.example'] },
    'header with underscore and with dot'   => get('/', 'X_A: 1', 'X.B: 2', 'X-C: 3'),
    'header value leading/trailing blanks'  => get('/', 'X-A:   v  ', 'X-B:v', 'X-C:   '),
    'If-Modified-Since, If-None-Match, Range, If-Range pass through' => get('/',
        'If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT', 'If-None-Match: "x"', 'Range: bytes=0-1', 'If-Range: "x"'),
    'HEAD (proxy_cache off)' => { head => ['HEAD / HTTP/1.1', 'Host: s.example'], method => 'HEAD' },
);

sub get {
    my ($target, @lines) = @_;
    return { head => ["GET $target HTTP/1.1", 'Host: s.example', @lines] };
}

sub post {
    my ($target, $body, @lines) = @_;
    return { head => ["POST $target HTTP/1.1", 'Host: s.example', @lines], body => $body };
}

# What a server before 1.29.7 sends instead, with proxy_http_version 1.1
sub as_before {
    my ($bytes) = @_;
    $bytes =~ s/^((?:.*\r\n){1,2}?)(?=\r\n|(?!Host:))/$1Connection: close\r\n/ unless $bytes =~ /^Connection: /m;
    return $bytes;
}

sub run_case {
    my ($server, $case) = @_;
    my $c    = $server->connect;
    my $body = defined $case->{body} ? $case->{body} : '';
    $up->clear;
    if ($case->{split}) {
        $c->send(join("\r\n", @{ $case->{head} }, '', ''));
        $up->wait_event('head');
        $c->send($case->{split});
        $up->wait_event('data');
        $c->send($body);
    } else {
        $c->send(join("\r\n", @{ $case->{head} }, '', $body));
    }
    if ($case->{partial}) {
        $up->wait_event('head');
        $c->close;
        return $up->wait_event('partial');
    }
    my $r = $c->read_response(method => $case->{method});
    my ($got) = $up->requests;
    return defined $got ? $got : 'no request; client got ' . $r->status . ' ' . $r->reason;
}

sub check {
    my ($server, $case, $name, $cell) = @_;
    my $expected = bytes($server->subst($cell));
    my $sets_connection = $cell =~ /^GET \/conn /;
    $expected = as_before($expected) if !$modern && $expected !~ /^no request/ && !$sets_connection;
SKIP: {
        skip "since $since{$name}: $name", 1 if $since{$name} && !Fairlead->since($since{$name});
        is(printable(run_case($server, $case)), printable($expected), $name);
    }
    return;
}

my $facts = Fairlead::Facts->load('02-proxy-request');
for my $row ($facts->rows(0)) {
    my $name = $row->{case};
    my $case = $cases{$name} or fail("no request is known for the case: $name"), next;
    check($srv, $case, $name, $row->{'bytes received by the upstream'});
}
$srv->ok_clean;

# 2.1: settings of an outer level are inherited only where the inner one has none
my $inherit = Fairlead->new(ports => { UP => $up }, http => <<"CONF");
$version_1_1
proxy_set_header X-Http h;
server {
    listen 127.0.0.1:%%PORT%%;
    location /inh { proxy_pass http://127.0.0.1:%%UP%%; }
    location /own {
        proxy_pass http://127.0.0.1:%%UP%%;
        proxy_set_header X-Loc l;
        location /own/nested { proxy_pass http://127.0.0.1:%%UP%%; }
    }
    location /def {
        proxy_pass http://127.0.0.1:%%UP%%;
        proxy_set_header Host \$proxy_host;
        proxy_set_header Connection close;
    }
}
server {
    listen 127.0.0.1:%%PORT%%;
    server_name second;
    proxy_set_header X-Server s;
    location /inh { proxy_pass http://127.0.0.1:%%UP%%; }
    location /own { proxy_pass http://127.0.0.1:%%UP%%; proxy_set_header X-Loc l; }
}
CONF

for my $row ($facts->rows(1)) {
    my $cell     = $row->{'bytes received by the upstream'};
    my ($target) = $cell =~ /^GET (\S+)/;
    my $host     = $row->{location} =~ /^server/ ? 'second' : 's.example';
    check($inherit, { head => ["GET $target HTTP/1.1", "Host: $host"] }, $row->{location}, $cell);
}
$inherit->ok_clean;
done_testing;

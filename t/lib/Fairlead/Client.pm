# SPDX-License-Identifier: BSD-2-Clause
package Fairlead::Client;

=head1 NAME

Fairlead::Client - a client connection that sends exact bytes and reads HTTP/1 responses

=head1 SYNOPSIS

    my $c = $srv->connect('PORT');            # or Fairlead::Client->new($port), ("[::1]:$port"), ("unix:/path")
    $c->send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    my $r = $c->read_response;                # method => 'HEAD' when it answers one
    ok($c->stays_open);                       # a second request on the connection is answered
    ok($c->closed);                           # or: the end of the connection arrives

Every wait is bounded (Fairlead::timeout).  Nothing here dies on what the server does: a response that did not come whole
has C<error> set to "eof", "timeout", "reset" or "bad".

=head1 CONNECTION

    send($bytes)          all of them; false when the connection broke
    read_response(%opt)   method => 'HEAD': no body; final_1xx => 1: a 1xx is a response like others (`return 100`)
    read_until($regex)    bytes until they match, or until the end; without a regex until the end
    read_bytes($n)        at least n bytes (all that have come), or what came before the end
    closed                waits for the end of the connection: true when it came and no bytes before it
    stays_open($bytes)    sends a request (default: GET / for host localhost) and wants a response
    half_close            no more from our side
    reset                 close so that the server gets a TCP reset
    close
    pending               what has been read and not yet consumed
    error                 why the last read ended: "", "eof", "timeout", "reset"
    tls(%ssl_options)     go on in TLS (needs IO::Socket::SSL); new(..., tls => {...}) does it at once

=head1 RESPONSE

    status reason version      version is "1.1"
    status_line                "HTTP/1.1 200 OK"
    header($name)              value of the first of that name (any case), undef when there is none
    header_all($name)          all values
    headers                    [[name, value], ...] in order
    header_lines               "Name: value" as they came
    body                       without chunked coding; content is the same before decoding
    raw                        the bytes of the whole response; head the bytes up to and with the empty line
    trailers                   [[name, value], ...] after the last chunk
    interim                    the 1xx responses before it, each a response
    error                      "" when complete

=cut

use strict;
use warnings;
use Errno qw(EINTR EAGAIN ECONNRESET EPIPE);
use IO::Select ();
use IO::Socket::IP ();
use IO::Socket::UNIX ();
use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY);
use Time::HiRes ();

sub new {
    my ($class, $where, %opt) = @_;
    my $self = bless { buf => '', error => '' }, $class;
    $self->{sock} = _open($where, %opt);
    $self->{error} = 'refused' unless $self->{sock};
    $self->tls(%{ $opt{tls} }) if $self->{sock} && $opt{tls};
    return $self;
}

sub _open {
    my ($where, %opt) = @_;
    return IO::Socket::UNIX->new(Peer => $1) if $where =~ m{^unix:(.*)};
    my ($host, $port) = $where =~ /^(.*):(\d+)$/ ? ($1, $2) : ('127.0.0.1', $where);
    $host =~ s/^\[(.*)\]$/$1/;
    my $sock = IO::Socket::IP->new(
        PeerHost => $host,
        PeerPort => $port,
        Timeout  => Fairlead::timeout(),
        $opt{local} ? (LocalHost => $opt{local}) : (),
    );
    $sock->setsockopt(IPPROTO_TCP, TCP_NODELAY, 1) if $sock;
    return $sock;
}

sub tls {
    my ($self, %opt) = @_;
    require IO::Socket::SSL;
    my $ok = IO::Socket::SSL->start_SSL($self->{sock}, SSL_verify_mode => 0, %opt);
    $self->{error} = 'tls' unless $ok;
    return $ok;
}

sub socket       { return $_[0]{sock} }
sub is_connected { return defined $_[0]{sock} }
sub error        { return $_[0]{error} }
sub pending      { return $_[0]{buf} }

sub local_port { return $_[0]{sock}->sockport }

sub send {
    my ($self, $bytes) = @_;
    my $sock = $self->{sock} or return 0;
    my $end  = Time::HiRes::time() + Fairlead::timeout();
    my $done = 0;
    while ($done < length $bytes) {
        my $left = $end - Time::HiRes::time();
        return 0 if $left <= 0;
        IO::Select->new($sock)->can_write($left) or next;
        my $n = syswrite $sock, $bytes, length($bytes) - $done, $done;
        if (!defined $n) {
            next if $!{EINTR} || $!{EAGAIN};
            return 0;
        }
        $done += $n;
    }
    return 1;
}

# More bytes into the buffer.  False at the end or at the bound, with the reason in error.
sub _fill {
    my ($self, $end) = @_;
    my $sock = $self->{sock} or return 0;
    while (1) {
        my $left = $end - Time::HiRes::time();
        my $held = $sock->can('pending') ? $sock->pending : 0;
        if (!$held && ($left <= 0 || !IO::Select->new($sock)->can_read($left))) {
            $self->{error} = 'timeout';
            return 0;
        }
        my $n = sysread $sock, $self->{buf}, 65_536, length $self->{buf};
        if (!defined $n) {
            next if $!{EINTR} || $!{EAGAIN};
            $self->{error} = $!{ECONNRESET} || $!{EPIPE} ? 'reset' : "$!";
            return 0;
        }
        $self->{error} = $n ? '' : 'eof';
        return $n;
    }
}

sub _deadline { return Time::HiRes::time() + Fairlead::timeout() }

sub read_until {
    my ($self, $pattern) = @_;
    my $end = _deadline();
    while (!defined $pattern || $self->{buf} !~ $pattern) {
        last unless $self->_fill($end);
    }
    return $self->_take(length $self->{buf});
}

sub read_bytes {
    my ($self, $n) = @_;
    my $end = _deadline();
    while (length $self->{buf} < $n) {
        last unless $self->_fill($end);
    }
    return $self->_take(length $self->{buf});
}

sub closed {
    my ($self) = @_;
    return 1 unless $self->{sock};
    return 0 if length $self->{buf};
    $self->_fill(_deadline());
    return $self->{error} eq 'eof' || $self->{error} eq 'reset';
}

sub stays_open {
    my ($self, $request) = @_;
    $request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" unless defined $request;
    return $self->send($request) && $self->read_response->status ? 1 : 0;
}

sub half_close {
    my ($self) = @_;
    return shutdown $self->{sock}, 1;
}

sub reset {
    my ($self) = @_;
    setsockopt $self->{sock}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    return $self->close;
}

sub close {
    my ($self) = @_;
    my $sock = delete $self->{sock} or return;
    return CORE::close $sock;
}

sub _take {
    my ($self, $n) = @_;
    return substr $self->{buf}, 0, $n, '';
}

sub read_response {
    my ($self, %opt) = @_;
    my $end = _deadline();
    my @interim;
    while (1) {
        my $r = $self->_read_one($end, %opt);
        if ($r->status =~ /^1/ && $r->status != 101 && !$opt{final_1xx} && !$r->error) {
            push @interim, $r;
            next;
        }
        $r->{interim} = \@interim;
        return $r;
    }
}

sub _read_one {
    my ($self, $end, %opt) = @_;
    my $n;
    while (!defined($n = $self->_head_length)) {
        $self->_fill($end) or return Fairlead::Response->failed($self->{error}, $self->_take(length $self->{buf}));
    }
    my $head = $self->_take($n);
    my $r    = Fairlead::Response->parse($head) or return Fairlead::Response->failed('bad', $head);
    my $method = $opt{method} || 'GET';
    if ($method eq 'HEAD' || $r->status =~ /^(?:204|304|101)$/ || ($r->status =~ /^1/ && !$opt{final_1xx})) {
        return $r;
    }
    if (($r->header('Transfer-Encoding') || '') =~ /chunked/i) {
        $self->_read_chunked($r, $end);
    } elsif (defined $r->header('Content-Length')) {
        $self->_read_length($r, $end);
    } else {
        1 while $self->_fill($end);
        $r->{error} = $self->{error} eq 'eof' ? '' : $self->{error};
        $r->{body}  = $r->{content} = $self->_take(length $self->{buf});
    }
    $r->{raw} .= $r->{content};
    return $r;
}

sub _head_length {
    my ($self) = @_;
    return $self->{buf} =~ /\r?\n\r?\n/ ? $+[0] : undef;
}

sub _read_length {
    my ($self, $r, $end) = @_;
    my $n = $r->header('Content-Length');
    while (length $self->{buf} < $n) {
        last if !$self->_fill($end);
    }
    $r->{error} = $self->{error} if length $self->{buf} < $n;
    my $have = length $self->{buf};
    $r->{body} = $r->{content} = $self->_take($have < $n ? $have : $n);
    return;
}

sub _read_chunked {
    my ($self, $r, $end) = @_;
    my ($body, $at) = ('', 0);
    while (1) {
        my $line = $self->_line($end, \$at);
        return $self->_broken($r) unless defined $line;
        my ($hex) = $line =~ /^([0-9a-fA-F]{1,15})\s*(?:;.*)?$/ or return $self->_broken($r, 'bad');
        my $size = hex $hex;
        last if $size == 0;
        while (length $self->{buf} < $at + $size + 2) {
            $self->_fill($end) or return $self->_broken($r);
        }
        $body .= substr $self->{buf}, $at, $size;
        return $self->_broken($r, 'bad') if substr($self->{buf}, $at + $size, 2) ne "\r\n";
        $at += $size + 2;
    }
    while (1) {
        my $line = $self->_line($end, \$at);
        return $self->_broken($r) unless defined $line;
        last if $line eq '';
        push @{ $r->{trailers} }, [split /:\s*/, $line, 2];
    }
    $r->{body}    = $body;
    $r->{content} = $self->_take($at);
    return;
}

sub _broken {
    my ($self, $r, $why) = @_;
    $r->{error}   = $why || $self->{error};
    $r->{content} = $r->{body} = $self->_take(length $self->{buf});
    return;
}

sub _line {
    my ($self, $end, $at) = @_;
    my $nl;
    while (($nl = index $self->{buf}, "\n", $$at) < 0) {
        $self->_fill($end) or return undef;
    }
    my $line = substr $self->{buf}, $$at, $nl - $$at;
    $$at = $nl + 1;
    $line =~ s/\r$//;
    return $line;
}

# Bytes of a request; the options are those of Fairlead::request.
sub build {
    my (%opt) = @_;
    my $method  = defined $opt{method}  ? $opt{method}  : 'GET';
    my $uri     = defined $opt{uri}     ? $opt{uri}     : '/';
    my $version = defined $opt{version} ? $opt{version} : '1.1';
    my @lines   = map { ref $_ ? "$_->[0]: $_->[1]" : $_ } @{ $opt{headers} || [] };
    my $host    = exists $opt{host} ? $opt{host} : 'localhost';
    unshift @lines, "Host: $host" if defined $host;
    push @lines, 'Content-Length: ' . length $opt{body}
        if defined $opt{body} && !grep { /^(?:Content-Length|Transfer-Encoding):/i } @lines;
    push @lines, 'Connection: close' if !$opt{keep} && !grep { /^Connection:/i } @lines;
    return join("\r\n", "$method $uri HTTP/$version", @lines, '', '') . (defined $opt{body} ? $opt{body} : '');
}

package Fairlead::Response;

sub parse {
    my ($class, $head) = @_;
    my ($first, @lines) = split /\r?\n/, $head;
    my ($version, $status, $reason) = $first =~ m{^HTTP/(\d\.\d) (\d{3})(?: (.*))?$} or return;
    my @headers = map { [/^([^:]*):[ \t]*(.*?)[ \t]*$/] } @lines;
    return bless {
        status_line => $first,
        version     => $version,
        status      => $status,
        reason      => defined $reason ? $reason : '',
        lines       => \@lines,
        headers     => \@headers,
        head        => $head,
        raw         => $head,
        body        => '',
        content     => '',
        trailers    => [],
        interim     => [],
        error       => '',
    }, $class;
}

sub failed {
    my ($class, $error, $raw) = @_;
    $raw = '' unless defined $raw;
    return bless {
        status_line => '', version => '', status => 0, reason => '', lines => [], headers => [], head => '',
        raw => $raw, body => $raw, content => $raw, trailers => [], interim => [], error => $error,
    }, $class;
}

sub status       { return $_[0]{status} }
sub reason       { return $_[0]{reason} }
sub version      { return $_[0]{version} }
sub status_line  { return $_[0]{status_line} }
sub headers      { return $_[0]{headers} }
sub header_lines { return @{ $_[0]{lines} } }
sub body         { return $_[0]{body} }
sub content      { return $_[0]{content} }
sub raw          { return $_[0]{raw} }
sub head         { return $_[0]{head} }
sub trailers     { return $_[0]{trailers} }
sub interim      { return @{ $_[0]{interim} } }
sub error        { return $_[0]{error} }

sub header_all {
    my ($self, $name) = @_;
    return map { $_->[1] } grep { defined $_->[0] && lc $_->[0] eq lc $name } @{ $self->{headers} };
}

sub header {
    my ($self, $name) = @_;
    return ($self->header_all($name))[0];
}

1;

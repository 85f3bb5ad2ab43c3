# SPDX-License-Identifier: BSD-2-Clause
package Fairlead::Upstream;

=head1 NAME

Fairlead::Upstream - a scripted backend in a process of its own

=head1 SYNOPSIS

    my $up = Fairlead::Upstream->new;                 # echoes every request
    my $up = Fairlead::Upstream->new(
        resp => {
            teapot => "HTTP/1.1 418 Tea\r\nContent-Length: 0\r\n\r\n",
            stall  => sub { my ($c, $req) = @_; $c->send("HTTP/1.1 200 OK\r\n"); $c->wait_for('go'); $c->reset },
        },
    );
    my $up = Fairlead::Upstream->new(handler => sub { my ($c) = @_; ... });     # raw: one call a connection

    Fairlead->new(..., ports => { UP => $up });

=head1 WHAT IT ANSWERS

Without a handler it reads requests, and answers each with 200, Content-Type text/plain, a Content-Length, and as body
the exact bytes of the request.  A request header "X-Resp: NAME" selects an entry of C<resp>: bytes, sent as they are, or
code, called with the connection and the request.  After bytes the connection is kept when the client of the response can
tell where it ends (HTTP/1.1 with a length, chunked, 204, 304, or C<HEAD>) and neither side said "Connection: close";
otherwise it is closed.  Each connection is served by a process of its own, so code may block.

=head1 IN THE TEST

    port                   the number; socket is "unix:PATH" for new(unix => 1)
    requests               bytes of each complete request so far, in order of arrival
    last_request           the last of them
    connections            how many were accepted
    events                 ([connection number, kind, bytes], ...); kinds: accept, head (the head is complete), data
                           (more of the body was read), request (all of it is there), partial (what had come of a request when the peer closed), eof, note
    wait_requests($n)      until there are n requests; returns them, or undef at the bound
    wait_event($kind, $n)  until there are n (default 1) events of the kind; returns the bytes of the n-th, or undef
    clear                  forget what was seen until now
    release($name)         let connections pass wait_for($name)
    stop, start            as if the backend died and came back on the same port

=head1 IN A HANDLER

    $c->read_request       { raw, head, body, method, target, version, headers => [[n, v]...] }; undef at the end
    $c->read_some          some bytes; undef at the end
    $c->send($bytes)
    $c->wait_for($name)    until the test calls release($name)
    $c->wait_eof           until the peer closes
    $c->close, $c->reset   reset: with a TCP reset
    $c->note($text)        an event of kind "note"
    $c->number             number of the connection, from 1

=cut

use strict;
use warnings;
use Fairlead       ();
use Fairlead::Port ();
use File::Temp     ();
use IO::Select     ();
use IO::Socket::UNIX ();
use POSIX qw(:sys_wait_h);
use Socket qw(SOMAXCONN);
use Time::HiRes ();

my %running;
my $owner = $$;

sub new {
    my ($class, %opt) = @_;
    my $self = bless { %opt, from => 0 }, $class;
    $self->{dir} = File::Temp->newdir('fairlead-up-XXXXXXXX', TMPDIR => 1);
    chmod 0755, "$self->{dir}";
    $self->{port} ||= Fairlead::Port::take() unless $opt{unix};
    return $self->start;
}

sub port   { return $_[0]{port} }
sub socket { return "unix:$_[0]{dir}/socket" }

sub _listen {
    my ($self) = @_;
    return Fairlead::Port::listen_socket($self->{port}) unless $self->{unix};
    unlink "$self->{dir}/socket";
    my $socket = IO::Socket::UNIX->new(Local => "$self->{dir}/socket", Listen => SOMAXCONN) or die "unix socket: $!";
    chmod 0777, "$self->{dir}/socket";
    return $socket;
}

sub start {
    my ($self) = @_;
    my $listen = $self->_listen;
    pipe my $watch, my $hold or die "pipe: $!";
    my $pid = fork;
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        close $hold;
        setpgrp;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        eval { $self->_serve($listen, $watch); 1 } or print STDERR "# upstream: $@";
        POSIX::_exit(0);
    }
    close $listen;
    close $watch;
    $self->{hold} = $hold;
    $self->{pid}  = $pid;
    $running{$pid} = 1;
    return $self;
}

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    setpgrp $pid, $pid;    # in case it did not get so far itself
    kill KILL => -$pid;
    waitpid $pid, 0;
    delete $running{$pid};
    return;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $@, $!);
    $self->stop if $$ == $owner;
    return;
}

END {
    if ($$ == $owner) {
        my $status = $?;
        for my $pid (keys %running) {
            kill KILL => -$pid;
            waitpid $pid, 0;
        }
        $? = $status;
    }
}

# ---- the serving side ------------------------------------------------------------------------------------------------

# Ends, with its connections, when the test process is gone: nobody holds the other end of the pipe then.
sub _serve {
    my ($self, $listen, $watch) = @_;
    $SIG{CHLD} = 'IGNORE';
    my $number = () = map { $_->[1] eq 'accept' ? 1 : () } $self->_read_events(0);
    my $select = IO::Select->new($listen, $watch);
    while (1) {
        for my $ready ($select->can_read) {
            if ($ready == $watch) {
                kill KILL => -$$;
                POSIX::_exit(0);
            }
            my $sock = $listen->accept or next;
            $number++;
            $self->_serve_connection($listen, $sock, $number);
        }
    }
}

sub _serve_connection {
    my ($self, $listen, $sock, $number) = @_;
    my $c = Fairlead::Upstream::Connection->new($self, $sock, $number);
    $c->record('accept', '');
    my $pid = fork;
    if (defined $pid && $pid == 0) {
        close $listen;
        my $ok = eval {
            if ($self->{handler}) { $self->{handler}->($c) }
            else                  { $self->_answer_all($c) }
            1;
        };
        print STDERR "# upstream: $@" unless $ok;
        $c->close;
        POSIX::_exit(0);
    }
    CORE::close $sock;
    return;
}

sub _answer_all {
    my ($self, $c) = @_;
    while (my $req = $c->read_request) {
        my ($name) = map { $_->[1] } grep { lc $_->[0] eq 'x-resp' } @{ $req->{headers} };
        my $resp = defined $name ? $self->{resp}{$name} : undef;
        if (ref $resp) {
            $resp->($c, $req);
        } else {
            $resp = _echo($req) unless defined $resp;
            $c->send($resp);
            $c->close unless _keeps($req, $resp);
        }
        last unless $c->is_open;
    }
    return;
}

sub _echo {
    my ($req) = @_;
    my $body = $req->{raw};
    my $n    = length $body;
    $body = '' if $req->{method} eq 'HEAD';
    return "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: $n\r\n\r\n$body";
}

sub _keeps {
    my ($req, $resp) = @_;
    my ($head) = $resp =~ /^(.*?\r\n)\r\n/s or return 0;
    return 0 if $req->{version} ne '1.1' || $head !~ m{^HTTP/1\.1 };
    return 0 if "$head$req->{head}" =~ /^Connection:.*\bclose\b/im;
    return $req->{method} eq 'HEAD' || $head =~ m{^HTTP/1\.1 (?:204|304)}
        || $head =~ /^(?:Content-Length:|Transfer-Encoding:\s*chunked)/im;
}

# ---- the test's side -------------------------------------------------------------------------------------------------

sub _events_file { return "$_[0]{dir}/events" }

sub _read_events {
    my ($self, $from) = @_;
    open my $fh, '<', $self->_events_file or return;
    seek $fh, $from, 0;
    my @events;
    while (my $line = <$fh>) {
        last unless $line =~ /^(\d+) (\w+) ([0-9a-f]*)\n\z/;
        push @events, [$1, $2, pack 'H*', $3];
    }
    return @events;
}

sub events {
    my ($self) = @_;
    return $self->_read_events($self->{from});
}

sub _bytes_of {
    my ($self, $kind) = @_;
    return map { $_->[2] } grep { $_->[1] eq $kind } $self->events;
}

sub requests { return $_[0]->_bytes_of('request') }

sub last_request {
    my ($self) = @_;
    return ($self->requests)[-1];
}

sub connections { return scalar(() = $_[0]->_bytes_of('accept')) }

sub wait_requests {
    my ($self, $n) = @_;
    my @got;
    Fairlead::_poll(sub { @got = $self->requests; @got >= $n }) or return;
    return @got;
}

sub wait_event {
    my ($self, $kind, $n) = @_;
    $n ||= 1;
    my @got;
    Fairlead::_poll(sub { @got = $self->_bytes_of($kind); @got >= $n }) or return undef;
    return $got[$n - 1];
}

sub clear {
    my ($self) = @_;
    $self->{from} = -s $self->_events_file || 0;
    return;
}

sub release {
    my ($self, $name) = @_;
    open my $fh, '>', "$self->{dir}/gate-$name" or die "gate $name: $!";
    return;
}

package Fairlead::Upstream::Connection;

use Socket qw(SOL_SOCKET SO_LINGER);

sub new {
    my ($class, $up, $sock, $number) = @_;
    return bless { up => $up, sock => $sock, number => $number, buf => '' }, $class;
}

sub number  { return $_[0]{number} }
sub is_open { return defined $_[0]{sock} }

# One write of one line to a file opened for appending: events of several processes do not mix.
sub record {
    my ($self, $kind, $bytes) = @_;
    open my $fh, '>>', $self->{up}->_events_file or die "events: $!";
    syswrite $fh, "$self->{number} $kind " . unpack('H*', $bytes) . "\n";
    return;
}

sub note { return $_[0]->record('note', $_[1]) }

sub send {
    my ($self, $bytes) = @_;
    my $done = 0;
    while ($self->{sock} && $done < length $bytes) {
        my $n = syswrite $self->{sock}, $bytes, length($bytes) - $done, $done;
        return 0 unless $n;
        $done += $n;
    }
    return 1;
}

sub _fill {
    my ($self) = @_;
    return 0 unless $self->{sock};
    my $before = length $self->{buf};
    my $n      = sysread $self->{sock}, $self->{buf}, 65_536, $before;
    $self->record('data', substr $self->{buf}, $before) if $n && $self->{in_body};
    return $n;
}

sub read_some {
    my ($self) = @_;
    return undef if $self->{buf} eq '' && !$self->_fill;
    my $bytes = $self->{buf};
    $self->{buf} = '';
    return $bytes;
}

# The peer is gone: what it had sent of a request is recorded.
sub _ended {
    my ($self) = @_;
    $self->record('partial', $self->{buf}) if length $self->{buf};
    $self->record('eof', '');
    return undef;
}

sub read_request {
    my ($self) = @_;
    my $n;
    while (($n = index $self->{buf}, "\r\n\r\n") < 0) {
        $self->_fill or return $self->_ended;
    }
    $n += 4;
    my $head = substr $self->{buf}, 0, $n;
    my ($first, @lines) = split /\r\n/, $head;
    my ($method, $target, $version) = $first =~ m{^(\S+) (.*) HTTP/(\d\.\d)$};
    my %req = (
        head    => $head,
        method  => defined $method  ? $method  : '',
        target  => defined $target  ? $target  : '',
        version => defined $version ? $version : '',
        headers => [map { [/^([^:]*):[ \t]*(.*)$/] } @lines],
    );
    $self->record('head', $head);
    $self->{in_body} = 1;
    my $total = $head =~ /^Transfer-Encoding:.*chunked/im ? $self->_chunked_end($n, \%req) : $self->_length_end($n, \%req);
    $self->{in_body} = 0;
    return $self->_ended unless defined $total;
    $req{raw} = substr $self->{buf}, 0, $total, '';
    $self->record('request', $req{raw});
    return \%req;
}

sub _length_end {
    my ($self, $n, $req) = @_;
    my ($length) = $req->{head} =~ /^Content-Length:\s*(\d+)\s*\r$/im;
    $length ||= 0;
    while (length $self->{buf} < $n + $length) {
        $self->_fill or return undef;
    }
    $req->{body} = substr $self->{buf}, $n, $length;
    return $n + $length;
}

sub _chunked_end {
    my ($self, $at, $req) = @_;
    $req->{body} = '';
    while (1) {
        my $line = $self->_line(\$at);
        return undef unless defined $line;
        my $size = hex(($line =~ /^([0-9a-fA-F]+)/)[0] || 0);
        if ($size == 0) {
            while (defined($line = $self->_line(\$at))) {
                return $at if $line eq '';
            }
            return undef;
        }
        while (length $self->{buf} < $at + $size + 2) {
            $self->_fill or return undef;
        }
        $req->{body} .= substr $self->{buf}, $at, $size;
        $at += $size + 2;
    }
}

sub _line {
    my ($self, $at) = @_;
    my $nl;
    while (($nl = index $self->{buf}, "\r\n", $$at) < 0) {
        $self->_fill or return undef;
    }
    my $line = substr $self->{buf}, $$at, $nl - $$at;
    $$at = $nl + 2;
    return $line;
}

sub wait_for {
    my ($self, $name) = @_;
    return Fairlead::_poll(sub { -e "$self->{up}{dir}/gate-$name" });
}

sub wait_eof {
    my ($self) = @_;
    1 while $self->_fill;
    $self->record('eof', '');
    return;
}

sub close {
    my ($self) = @_;
    my $sock = delete $self->{sock} or return;
    return CORE::close $sock;
}

sub reset {
    my ($self) = @_;
    setsockopt $self->{sock}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    return $self->close;
}

1;

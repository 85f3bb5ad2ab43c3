# SPDX-License-Identifier: BSD-2-Clause
package Fairlead::Port;

# Free loopback ports for tests that run in parallel.  A port is taken below the range the kernel uses for outgoing
# connections (otherwise any client on the machine could get it between our look and the server's bind), locked through a
# file against other tests until this process ends, and tried by binding it.

use strict;
use warnings;
use Fcntl qw(:flock);
use File::Spec ();
use IO::Socket::INET ();
use Socket qw(SOMAXCONN);

use constant { FIRST => 10_000, TRIES => 2_000 };

my @locks;

sub take {
    my $dir = File::Spec->tmpdir . "/fairlead-ports-$<";
    mkdir $dir, 0700;
    my $last = _last();
    for (1 .. TRIES) {
        my $port = FIRST + int rand($last - FIRST + 1);
        open my $lock, '>>', "$dir/$port" or die "$dir/$port: $!";
        next unless flock $lock, LOCK_EX | LOCK_NB;
        my $probe = IO::Socket::INET->new(LocalAddr => '0.0.0.0', LocalPort => $port, Listen => 1);
        next unless $probe;
        close $probe;
        push @locks, $lock;
        return $port;
    }
    die "no free port between " . FIRST . " and $last\n";
}

# The port before the kernel's range, so long as that leaves room.
sub _last {
    open my $fh, '<', '/proc/sys/net/ipv4/ip_local_port_range' or return 32_000;
    my ($first) = split ' ', scalar <$fh>;
    return $first > FIRST + 1_000 ? $first - 1 : 65_000;
}

# A listening socket on a port of its own: nobody can take the port in between.
sub listen_socket {
    my ($port) = @_;
    $port = take() unless defined $port;
    my $socket = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1',
        LocalPort => $port,
        Listen    => SOMAXCONN,
        ReuseAddr => 1,
    ) or die "listen on 127.0.0.1:$port: $!\n";
    return $socket;
}

1;

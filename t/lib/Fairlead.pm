# SPDX-License-Identifier: BSD-2-Clause
package Fairlead;

=head1 NAME

Fairlead - run the server under test in a directory of its own, on free loopback ports

=head1 SYNOPSIS

    use FindBin;
    use lib "$FindBin::Bin/lib";
    use Test::More;
    use Fairlead;
    use Fairlead::Upstream;

    my $up  = Fairlead::Upstream->new;                       # an echo server
    my $srv = Fairlead->new(
        http  => 'server { listen 127.0.0.1:%%PORT%%; location / { proxy_pass http://127.0.0.1:%%UP%%; } }',
        ports => { UP => $up },
        files => { 'html/index.html' => 'INDEX', 'html/empty/' => undef },
    );
    my $r = $srv->get('/a?b', headers => ['X-A: 1']);
    is($r->status, 200);
    like($up->last_request, qr/^GET \/a\?b /);
    $srv->ok_clean;                                          # stops it: exit 0, no [alert]
    done_testing;

=head1 THE BINARY

C<FAIRLEAD_BIN> names it (default: F<build/release/fairlead> of this tree).  It is started through a link called
C<nginx> in the temporary directory, so that what it prints is comparable byte for byte with nginx; C<< name => 'fairlead' >>
starts it under its own name.  The binary may also be a real nginx: the tests then check themselves.

    Fairlead->binary         the path
    Fairlead->real_nginx     true when the binary is nginx itself
    Fairlead->version        the nginx version it claims, "1.31.5"
    Fairlead->own_version    fairlead's version, undef for a real nginx
    Fairlead->since('1.25')  does it claim this nginx version or a later one?  Rows for newer servers are skipped by this,
                             which never happens for fairlead itself
    $srv->server_token       "nginx/1.31.5" or "fairlead/0.1.0", as in the Server header
    $srv->localise($text)    facts are written with nginx/1.31.5: put the token of this server in its place

Other environment: C<FAIRLEAD_KEEP=1> keeps the temporary directories (and prints them), C<FAIRLEAD_TIMEOUT> is the bound
in seconds of every wait (default 20).  A wait that reaches the bound is a failure, never a measurement.

=head1 STARTING

C<< Fairlead->new(%opt) >> writes everything, starts the server in the foreground and returns when it listens.  It dies,
with the error log, when the server does not start.

    http   => text      what stands in http {}; the harness writes the rest (below)
    conf   => text      or the complete configuration; daemon and pid are given with -g when it has none
    main   => text      with http: more lines at main level
    events => text      with http: more lines in events {}
    user   => 'root'    with http: the user line (written only when the test runs as root)
    workers => 1        with http: worker_processes
    error_log => 'info' with http: level of logs/error.log
    types  => 0         with http: 1 writes conf/mime.types and includes it
    files  => {...}     files below the prefix, name => content; a name that ends in "/" is a directory.
                        All files get modification time 1700000000
    ports  => {...}     NAME => number or Fairlead::Upstream; other names are allocated when they are first used
    name   => 'nginx'   under which name the binary runs
    args   => [...]     more command line arguments
    env    => {...}     environment, undef removes a variable
    start  => 1         0: only prepare; call $srv->start later

With C<http> the configuration is

    daemon off; worker_processes 1; user root; pid logs/nginx.pid; error_log logs/error.log info;
    MAIN
    events { worker_connections 256; EVENTS }
    http { access_log off; client_body_temp_path temp/body; proxy_temp_path temp/proxy; HTTP }

In every text C<%%NAME%%> stands for a free port of that name (PORT, PORT2, UP, DEAD ...: anything in capitals, digits
and underscores), C<%%PREFIX%%> for the prefix directory without a slash at its end.  C<< $srv->subst($text) >> does the
same to any text.  Ports are outside the range the kernel takes for outgoing connections and are locked against other
tests that run at the same time, until the test ends; nothing listens on one that only the test mentions.

=head1 CONTROL

    $srv->prefix             the prefix directory
    $srv->port('PORT')       the number behind a name
    $srv->pid                of the master
    $srv->workers            pids of the living workers, from the error log
    $srv->write($name, $text)  a file below the prefix (substituted when it is a .conf)
    $srv->stop('QUIT')       stop and return the exit status as in $? (default TERM)
    $srv->signal('USR1')     to the master
    $srv->reload($http)      optionally with new text (http or conf as in new), then HUP; waits for the new workers and
                             for the old ones to be gone.  False when the new configuration was refused
                             (nowait_old => 1 does not wait for the old ones)
    $srv->run(@args)         the binary with these arguments: ($exit, $stdout, $stderr)
    $srv->test_config($conf, @args)  the same for `-p PREFIX/ -c conf/test.conf @args` with that file written; @args
                             defaults to -t.  Works on a class too: Fairlead->test_config($conf)
    $srv->ok_clean($name, allow => qr//)   a test: stops the server, wants exit 0, no [alert], [emerg] or sanitizer report
                             but for lines that match

=head1 LOGS

    $srv->error_log          text of logs/error.log
    $srv->access_log         text of logs/access.log; log('name') any file in logs/
    $srv->mark               remember the present end of the logs: what follows is "new"
    $srv->new_log($file)     the new part (default error.log)
    $srv->wait_for_log(qr//, file => 'error.log', count => 1)   until the new part matches that often; returns the
                             part, or undef when the bound was reached

=head1 TALKING

C<$port> is a number or a name (PORT).

    $srv->raw($port, $bytes, %opt)   send, return the bytes that came until the server closed.  until => qr// or
                                     responses => N stop earlier (head => 1: they answer HEAD)
    $srv->get($target, %opt)         one request, one Fairlead::Response
    $srv->request(%opt)              the same: method uri version host headers body port keep
                                     host => undef sends none; headers => ['Name: value', ...] or [[Name => value], ...];
                                     body adds Content-Length unless a header of that name or Transfer-Encoding is there;
                                     "Connection: close" is sent unless keep => 1
    $c = $srv->connect($port)        a connection, Fairlead::Client: send read_response closed stays_open half_close
                                     reset close; see there

=cut

use strict;
use warnings;
use Cwd ();
use Fcntl qw(:flock);
use File::Basename ();
use File::Path qw(make_path);
use File::Spec ();
use File::Temp ();
use IO::Socket::INET ();
use POSIX qw(:sys_wait_h);
use Test::More ();
use Time::HiRes ();

use Fairlead::Client ();
use Fairlead::Port   ();

use constant FILE_TIME => 1_700_000_000;    # Tue, 14 Nov 2023 22:13:20 GMT

my %running;                                # pid => 1: servers of this test
my $owner = $$;
my $identity;

$SIG{PIPE} = 'IGNORE';
for my $name (qw(INT TERM HUP)) {
    $SIG{$name} ||= sub { exit 1 };         # so that END runs
}

sub timeout { return $ENV{FAIRLEAD_TIMEOUT} || 20 }

# ---- the binary ------------------------------------------------------------------------------------------------------

sub root {
    my $lib = File::Basename::dirname(Cwd::realpath(__FILE__));
    return Cwd::realpath("$lib/../..");
}

sub binary {
    my $bin = $ENV{FAIRLEAD_BIN} || root() . '/build/release/fairlead';
    die "no server binary $bin: run make first, or set FAIRLEAD_BIN\n" unless -x $bin;
    return Cwd::realpath($bin);
}

# What the first line of -v says: { nginx => '1.31.5', own => '0.1.0' }; own is missing for a real nginx.
sub identity {
    return $identity if $identity;
    my (undef, $out, $err) = _capture([binary(), '-v'], binary());
    my ($nginx) = "$err$out" =~ m{^nginx version: nginx/([0-9.]+)}m
        or die "cannot read the version line of " . binary() . ": $err$out\n";
    my ($own) = "$err$out" =~ m{\(fairlead ([^)]+)\)};
    return $identity = { nginx => $nginx, own => $own };
}

sub real_nginx  { return !defined identity()->{own} }
sub version     { return identity()->{nginx} }
sub own_version { return identity()->{own} }

sub since {
    my (undef, $wanted) = @_;
    my @want = split /\./, $wanted;
    my @have = split /\./, version();
    for my $i (0 .. $#want) {
        my $order = ($have[$i] || 0) <=> $want[$i];
        return $order > 0 if $order;
    }
    return 1;
}

sub server_token {
    my ($self) = @_;
    my $name = ref $self ? $self->{name} : 'nginx';
    return $name eq 'nginx' ? 'nginx/' . version() : 'fairlead/' . own_version();
}

sub localise {
    my ($self, $text) = @_;
    my $token = $self->server_token;
    $text =~ s{nginx/1\.31\.5}{$token}g;
    return $text;
}

# ---- preparing -------------------------------------------------------------------------------------------------------

sub new {
    my ($class, %opt) = @_;
    my $self = bless {
        opt   => \%opt,
        name  => $opt{name} || 'nginx',
        ports => {},
        marks => {},
    }, $class;
    $self->{dir} = File::Temp->newdir('fairlead-XXXXXXXX', TMPDIR => 1, CLEANUP => !$ENV{FAIRLEAD_KEEP});
    $self->{prefix} = Cwd::realpath("$self->{dir}");
    chmod 0755, $self->{prefix};
    Test::More::diag("kept: $self->{prefix}") if $ENV{FAIRLEAD_KEEP};
    make_path(map { "$self->{prefix}/$_" } qw(bin conf logs html temp));
    symlink binary(), "$self->{prefix}/bin/$self->{name}" or die "symlink: $!";
    for my $name (keys %{ $opt{ports} || {} }) {
        my $port = $opt{ports}{$name};
        $self->{ports}{$name} = ref $port ? $port->port : $port;
    }
    $self->write($_, $opt{files}{$_}) for sort keys %{ $opt{files} || {} };
    $self->write('conf/mime.types', _mime_types()) if $opt{types};
    $self->write_conf(%opt);
    $self->start if !exists $opt{start} || $opt{start};
    return $self;
}

sub prefix { return $_[0]{prefix} }
sub pid    { return $_[0]{pid} }

sub port {
    my ($self, $name) = @_;
    return $name if $name =~ /^\d+$/;
    return $self->{ports}{$name} ||= Fairlead::Port::take();
}

sub subst {
    my ($self, $text) = @_;
    $text =~ s/%%PREFIX%%/$self->{prefix}/g;
    $text =~ s/%%([A-Z][A-Z0-9_]*)%%/$self->port($1)/ge;
    return $text;
}

sub write {
    my ($self, $name, $text) = @_;
    my $path = "$self->{prefix}/$name";
    if ($name =~ m{/$}) {
        make_path($path);
        return $path;
    }
    make_path(File::Basename::dirname($path));
    $text = $self->subst($text) if $name =~ /\.conf$/;
    _spew($path, defined $text ? $text : '');
    utime FILE_TIME, FILE_TIME, $path;
    return $path;
}

sub write_conf {
    my ($self, %opt) = @_;
    return if !defined $opt{http} && !defined $opt{conf};
    my $text = defined $opt{conf} ? $opt{conf} : $self->_wrap(%{ $self->{opt} }, %opt);
    $self->{conf_text} = $self->subst($text);
    _spew("$self->{prefix}/conf/nginx.conf", $self->{conf_text});
    return;
}

sub _wrap {
    my ($self, %opt) = @_;
    my $workers = $opt{workers} || 1;
    my $user    = $< == 0 ? 'user ' . ($opt{user} || 'root') . ';' : '';
    my $main    = defined $opt{main}   ? $opt{main}   : '';
    my $events  = defined $opt{events} ? $opt{events} : '';
    my $level   = $opt{error_log} || 'info';
    my $types   = $opt{types} ? 'include mime.types;' : '';
    return <<"CONF";
daemon off;
worker_processes $workers;
$user
pid logs/nginx.pid;
error_log logs/error.log $level;
$main
events { worker_connections 256; $events }
http {
    access_log off;
    client_body_temp_path temp/body;
    proxy_temp_path temp/proxy;
    $types
$opt{http}
}
CONF
}

# Enough of the types file that every package ships for what tests serve.
sub _mime_types {
    return <<'TYPES';
types {
    text/html                 html htm shtml;
    text/css                  css;
    text/xml                  xml;
    text/plain                txt;
    image/gif                 gif;
    image/jpeg                jpeg jpg;
    image/png                 png;
    image/svg+xml             svg svgz;
    application/javascript    js;
    application/json          json;
    application/pdf           pdf;
    application/octet-stream  bin;
}
TYPES
}

# ---- processes -------------------------------------------------------------------------------------------------------

sub _command {
    my ($self) = @_;
    my $conf = $self->{conf_text};
    my @globals;
    push @globals, 'daemon off;' unless $conf =~ /^\s*daemon\s/m || $conf =~ /;\s*daemon\s/;
    push @globals, 'pid logs/nginx.pid;' unless $conf =~ /(?:^|;)\s*pid\s/m;
    return (
        "$self->{prefix}/bin/$self->{name}", '-p', "$self->{prefix}/", '-c', 'conf/nginx.conf',
        '-e', 'logs/error.log', @globals ? ('-g', "@globals") : (), @{ $self->{opt}{args} || [] },
    );
}

sub pid_file {
    my ($self) = @_;
    my ($name) = $self->{conf_text} =~ /(?:^|;)\s*pid\s+([^;\s]+)\s*;/m;
    $name = 'logs/nginx.pid' unless defined $name;
    return $name =~ m{^/} ? $name : "$self->{prefix}/$name";
}

sub start {
    my ($self) = @_;
    my @command = $self->_command;
    unlink $self->pid_file;
    $self->mark;
    my $pid = _spawn(\@command, $command[0], "$self->{prefix}/logs/output", $self->{opt}{env}, $self->{prefix});
    $self->{pid} = $pid;
    $running{$pid} = 1;
    my $up = _poll(sub {
        return -1 if waitpid($pid, WNOHANG) == $pid;
        return -s $self->pid_file;
    });
    return $self if $up && $up > 0;
    my $status = defined $up ? sprintf('exit %d, signal %d', $? >> 8, $? & 127) : 'no pid file in time';
    delete $running{$pid};
    kill KILL => -$pid unless defined $up;
    $self->{pid} = undef;
    die "the server did not start ($status)\n" . _slurp("$self->{prefix}/logs/output") . $self->new_log . "\n";
}

sub signal {
    my ($self, $name) = @_;
    return kill $name => $self->{pid};
}

sub stop {
    my ($self, $signal) = @_;
    my $pid = $self->{pid};
    return $self->{status} unless $pid;
    my $status;
    for my $name ($signal || 'TERM', 'KILL') {
        kill $name => $name eq 'KILL' ? -$pid : $pid;
        if (_poll(sub { waitpid($pid, WNOHANG) == $pid })) {
            $status = $?;
            last;
        }
    }
    kill KILL => -$pid;    # workers that outlived the master: its process group holds nothing else
    delete $running{$pid};
    $self->{pid} = undef;
    return $self->{status} = $status;
}

sub ok_clean {
    my ($self, $name, %opt) = @_;
    my $status = $self->stop('QUIT');
    my $text   = join '', map { _slurp($_) } glob "$self->{prefix}/logs/error*.log $self->{prefix}/logs/output";
    my @bad    = grep { /\[(?:alert|emerg)\]|Sanitizer|runtime error:/ } split /^/, $text;
    @bad = grep { $_ !~ $opt{allow} } @bad if $opt{allow};
    my $fine   = defined $status && $status == 0 && !@bad;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    Test::More::ok($fine, $name || 'the server ends with status 0 and without [alert]');
    Test::More::diag('status ' . (defined $status ? $status : 'none') . "\n" . join '', @bad[0 .. ($#bad > 30 ? 30 : $#bad)])
        unless $fine;
    return $fine;
}

# pids of started workers of which the log does not say that they exited
sub workers {
    my ($self) = @_;
    my $log = $self->error_log;
    my %alive = map { $_ => 1 } $log =~ /start worker process (\d+)/g;
    delete @alive{ $log =~ /(?<!cache manager )worker process (\d+) exited/g };
    return sort { $a <=> $b } grep { kill 0 => $_ } keys %alive;
}

sub reload {
    my ($self, @args) = @_;
    my %opt = @args % 2 ? ('http', @args) : @args;
    $self->write_conf(map { $_ => $opt{$_} } grep { defined $opt{$_} } qw(http conf));
    my @old    = $self->workers;
    my $before = length $self->error_log;
    $self->signal('HUP');
    my $n = @old || 1;
    my $new = _poll(sub {
        my $log = substr $self->error_log, $before;
        return -1 if $log =~ /\[emerg\]/;
        my @started = $log =~ /start worker process \d+/g;
        return @started >= $n;
    });
    return 0 unless $new && $new > 0;
    return 1 if $opt{nowait_old};
    return _poll(sub {
        my $log = substr $self->error_log, $before;
        return !grep { $log !~ /worker process $_ exited/ } @old;
    }) ? 1 : 0;
}

sub run {
    my ($self, @args) = @_;
    return _capture(["$self->{prefix}/bin/$self->{name}", @args], "$self->{prefix}/bin/$self->{name}",
        $self->{opt}{env}, $self->{prefix});
}

sub test_config {
    my ($self, $conf, @args) = @_;
    $self = $self->new(start => 0) unless ref $self;
    @args = ('-t') unless @args;
    $self->write('conf/test.conf', $conf);
    return $self->run('-p', "$self->{prefix}/", '-c', 'conf/test.conf', '-e', 'logs/test.log', @args);
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $@, $!);
    $self->stop if $$ == $owner && $self->{pid};
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

# ---- logs ------------------------------------------------------------------------------------------------------------

sub log        { return _slurp("$_[0]{prefix}/logs/$_[1]") }
sub error_log  { return $_[0]->log('error.log') }
sub access_log { return $_[0]->log('access.log') }

sub mark {
    my ($self) = @_;
    $self->{marks} = {};
    for my $path (glob "$self->{prefix}/logs/*") {
        $self->{marks}{ File::Basename::basename($path) } = -s $path || 0;
    }
    return;
}

sub new_log {
    my ($self, $file) = @_;
    $file = 'error.log' unless defined $file;
    my $text = $self->log($file);
    my $from = $self->{marks}{$file} || 0;
    return $from <= length $text ? substr($text, $from) : $text;
}

sub wait_for_log {
    my ($self, $pattern, %opt) = @_;
    my $count = $opt{count} || 1;
    my $text;
    my $found = _poll(sub {
        $text = $self->new_log($opt{file});
        my @hits = $text =~ /$pattern/g;
        return @hits >= $count;
    });
    return $found ? $text : undef;
}

# ---- HTTP ------------------------------------------------------------------------------------------------------------

sub connect {
    my ($self, $port, %opt) = @_;
    $port = 'PORT' unless defined $port;
    $port = $self->port($port) unless $port =~ m{[/:]};
    return Fairlead::Client->new($port, %opt);
}

sub raw {
    my ($self, $port, $bytes, %opt) = @_;
    my $c = $self->connect($port);
    $c->send($bytes);
    if ($opt{responses}) {
        my $all = '';
        for (1 .. $opt{responses}) {
            my $r = $c->read_response(method => $opt{head} ? 'HEAD' : 'GET');
            $all .= $r->raw;
            last if $r->error;
        }
        return $all;
    }
    return $c->read_until($opt{until});
}

sub get {
    my ($self, $target, %opt) = @_;
    return $self->request(%opt, uri => $target);
}

sub request {
    my ($self, %opt) = @_;
    my $c = $self->connect($opt{port});
    return Fairlead::Response->failed('connect') unless $c->is_connected;
    $c->send(Fairlead::Client::build(%opt));
    return $c->read_response(method => $opt{method} || 'GET');
}

# ---- helpers ---------------------------------------------------------------------------------------------------------

# Call until it gives a true value, which is returned; undef when the bound was reached.
sub _poll {
    my ($claim) = @_;
    my $end = Time::HiRes::time() + timeout();
    while (1) {
        my $value = $claim->();
        return $value if $value;
        return undef if Time::HiRes::time() > $end;
        Time::HiRes::sleep(0.005);
    }
}

sub _spawn {
    my ($command, $program, $output, $env, $dir) = @_;
    my $pid = fork;
    die "fork: $!" unless defined $pid;
    if ($pid) {
        setpgrp $pid, $pid;    # both sides do it: whoever kills the group must find it
        return $pid;
    }
    setpgrp;
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE CHLD);
    _apply_env($env);
    chdir $dir if defined $dir;
    open STDIN,  '<',  '/dev/null';
    open STDOUT, '>>', $output;
    open STDERR, '>&', \*STDOUT;
    { no warnings; exec {$program} @$command; }
    print "exec $program: $!\n";
    POSIX::_exit(127);
}

sub _apply_env {
    my ($env) = @_;
    delete @ENV{qw(NGINX FAIRLEAD)};
    for my $name (keys %{ $env || {} }) {
        if (defined $env->{$name}) { $ENV{$name} = $env->{$name} }
        else                       { delete $ENV{$name} }
    }
    return;
}

# ($exit, $stdout, $stderr); exit is 128 + signal when one ended it
sub _capture {
    my ($command, $program, $env, $dir) = @_;
    my ($out, $err) = (File::Temp->new, File::Temp->new);
    my $pid = fork;
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        setpgrp;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE CHLD);
        _apply_env($env);
        chdir $dir if defined $dir;
        open STDIN,  '<', '/dev/null';
        open STDOUT, '>', $out->filename;
        open STDERR, '>', $err->filename;
        { no warnings; exec {$program} @$command; }
        POSIX::_exit(127);
    }
    $running{$pid} = 1;
    my $status;
    $status = $? if _poll(sub { waitpid($pid, WNOHANG) == $pid });
    if (!defined $status) {
        kill KILL => -$pid;
        waitpid $pid, 0;
        $status = $?;
    }
    delete $running{$pid};
    my $exit = $status & 127 ? 128 + ($status & 127) : $status >> 8;
    return ($exit, _slurp($out->filename), _slurp($err->filename));
}

sub _slurp {
    my ($path) = @_;
    open my $fh, '<:raw', $path or return '';
    local $/;
    my $text = <$fh>;
    return defined $text ? $text : '';
}

sub _spew {
    my ($path, $text) = @_;
    open my $fh, '>:raw', $path or die "$path: $!";
    print {$fh} $text;
    close $fh or die "$path: $!";
    return;
}

1;

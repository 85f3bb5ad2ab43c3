# SPDX-License-Identifier: BSD-2-Clause
package Fairlead::Facts;

=head1 NAME

Fairlead::Facts - the tables of t/behaviour/*.md as data

=head1 SYNOPSIS

    my $facts = Fairlead::Facts->load('03-location');      # t/behaviour/03-location.md
    my ($server) = $facts->code;                           # the ``` blocks, with ports as %%PORT%%
    for my $row ($facts->rows) {                           # of all tables
        my $name = $row->{request};                        # by column heading
    }
    my $part = $facts->section('1.1');                     # the part under the heading "### 1.1 ..."

A file is a text with headings (`#`), fenced blocks and tables.  Cells stand between double backticks and blanks, which
are taken off; `\|` is a bar.  Words PORT PORT2 PORT3 UP UP2 UP3 DEAD become %%PORT%% and so on, for Fairlead::subst.

    $facts->rows($n)       rows of the n-th table (from 0), of all tables without n
    $facts->code($n)       the n-th block, or all
    $facts->blocks         ([text before it, block], ...): the paragraph that introduces each block
    $facts->text           everything
    bytes($cell)           a cell with \n \r \t \xhh and " ⏎ " (CRLF) resolved
    printable($bytes)      the other way round, for the name of a test

=cut

use strict;
use warnings;
use Exporter qw(import);
use File::Basename ();

our @EXPORT_OK = qw(bytes printable);

sub load {
    my ($class, $name) = @_;
    my $path = File::Basename::dirname(__FILE__) . "/../../behaviour/$name.md";
    open my $fh, '<:raw', $path or die "$path: $!\n";
    local $/;
    return $class->new(scalar <$fh>);
}

sub new {
    my ($class, $text) = @_;
    my $self = bless { text => $text, tables => [], blocks => [] }, $class;
    $self->_parse;
    return $self;
}

sub _ports {
    my ($text) = @_;
    $text =~ s/(?<![A-Za-z0-9_%-])((?:PORT|UP)[23]?|DEAD)(?![A-Za-z0-9_%])/%%$1%%/g;
    return $text;
}

sub _parse {
    my ($self) = @_;
    my ($fence, $table, $before) = (undef, undef, '');
    for my $line (split /\n/, $self->{text}) {
        if (defined $fence) {
            if ($line =~ /^```/) {
                push @{ $self->{blocks} }, [$before, _ports($fence)];
                ($fence, $before) = (undef, '');
            } else {
                $fence .= "$line\n";
            }
        } elsif ($line =~ /^```/) {
            $fence = '';
        } elsif ($line =~ /^\|/) {
            $table = $self->_row($table, $line);
        } else {
            $table = undef;
            $before = $line if $line =~ /\S/;
        }
    }
    return;
}

# The first line of a table names its columns, the second is the rule below them.
sub _row {
    my ($self, $table, $line) = @_;
    my @cells = _cells($line);
    if (!$table) {
        $table = { columns => \@cells, rows => [] };
        push @{ $self->{tables} }, $table;
    } elsif ($line !~ /^\|[-|]+\|$/) {
        my %row;
        @row{ @{ $table->{columns} } } = map { _ports($_) } @cells;
        push @{ $table->{rows} }, \%row;
    }
    return $table;
}

sub _cells {
    my ($line) = @_;
    $line =~ s/^\|\s?//;
    $line =~ s/\s?\|\s*$//;
    my @cells;
    for my $cell (split / \| /, $line, -1) {
        $cell =~ s/\\\|/|/g;
        $cell =~ s/^`` (.*) ``$/$1/;
        $cell =~ s/^`([^`]*)`$/$1/;
        push @cells, $cell;
    }
    return @cells;
}

sub section {
    my ($self, $number) = @_;
    my ($part) = $self->{text} =~ /^(#+ \Q$number\E[. ].*?)(?=^#+ |\z)/ms or die "no section $number\n";
    return ref($self)->new($part);
}

sub rows {
    my ($self, $n) = @_;
    my @tables = defined $n ? $self->{tables}[$n] : @{ $self->{tables} };
    return map { @{ $_->{rows} } } @tables;
}

sub code {
    my ($self, $n) = @_;
    my @code = map { $_->[1] } @{ $self->{blocks} };
    return defined $n ? $code[$n] : @code;
}

sub blocks { return @{ $_[0]{blocks} } }
sub text   { return $_[0]{text} }

sub bytes {
    my ($cell) = @_;
    my %plain = (n => "\n", r => "\r", t => "\t");
    $cell =~ s/ \xe2\x8f\x8e /\r\n/g;
    $cell =~ s/\\(?:x([0-9a-fA-F]{2})|([nrt])(?![a-zA-Z]))/defined $1 ? chr hex $1 : $plain{$2}/ge;
    return $cell;
}

sub printable {
    my ($bytes) = @_;
    $bytes =~ s/\r\n/ \\r\\n /g;
    $bytes =~ s/([^\x20-\x7e])/sprintf '\\x%02x', ord $1/ge;
    $bytes =~ s/#/\\x23/g;    # a TAP name must not look like a directive
    return $bytes;
}

1;

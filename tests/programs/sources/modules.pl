# Core modules, files, sockets and signals without another process.
use strict; use warnings;
use Digest::SHA qw(sha256_hex); use Digest::MD5 qw(md5_hex); use JSON::PP; use File::Temp (); use File::Find;
use Time::HiRes qw(sleep time alarm); use IO::Socket::INET; use POSIX (); use List::Util qw(sum shuffle);
use Math::BigInt; use Storable qw(freeze thaw); use Encode; use MIME::Base64; use Data::Dumper;
$Data::Dumper::Sortkeys = 1; $Data::Dumper::Indent = 1;
print sha256_hex("abc" x 10000), " ", md5_hex("x" x 99999), "\n";
my $json = JSON::PP->new->canonical;
print $json->encode({ list => [1 .. 5], text => "na\x{ef}ve", nested => { a => undef } }), "\n";
print Dumper($json->decode('{"a":[1,2,{"b":null}]}'));
print Math::BigInt->new(3)->bpow(500), "\n";
my $copy = thaw(freeze({ k => [map { $_ ** 2 } 1 .. 10] })); print "@{$copy->{k}}\n";
mkdir "sub"; for my $n (1 .. 20) { open my $f, '>', "sub/f$n" or die; print $f "x" x $n; close $f }
my @found; find(sub { push @found, "$_:" . -s _ if -f $_ }, "sub"); print join(",", sort @found), "\n";
rename "sub/f1", "sub/renamed" or die; unlink "sub/f2" or die; symlink "f3", "sub/link" or die; chmod 0600, "sub/f4";
my $server = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "listen: $!";
my $client = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $server->sockport) or die "connect: $!";
my $peer = $server->accept; print $client "hello\n"; $client->flush; print "peer got ", scalar <$peer>;
my $hits = 0; $SIG{USR1} = sub { $hits++ }; kill USR1 => $$ for 1 .. 10; print "signals ", $hits > 0 ? "seen" : "lost", "\n";
$hits = 0; local $SIG{ALRM} = sub { $hits++; die "alarm\n" }; eval { alarm 0.1; select undef, undef, undef, 5 }; print "woken by $@";
my %h; $h{$_ % 1000} += $_ for 1 .. 300_000; print sum(values %h), "\n";
print encode_base64(encode("UTF-8", "\x{540d}\x{524d}"));
print POSIX::strftime("%F", gmtime 0), "\n";

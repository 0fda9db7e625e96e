<?php
// Arrays, regular expressions, hashes, sockets, files, exceptions, generators.
$words = [];
foreach (file($argv[1]) as $line) {
    foreach (preg_split('/\W+/', $line, -1, PREG_SPLIT_NO_EMPTY) as $word) {
        $words[$word] = ($words[$word] ?? 0) + 1;
    }
}
arsort($words); ksort($words, SORT_STRING);
echo count($words), ' ', hash('sha256', json_encode($words)), ' ', md5(serialize($words)), "\n";
function squares(int $n) { for ($i = 1; $i <= $n; $i++) { yield $i => $i ** 2; } }
foreach (squares(10) as $k => $v) { echo "$k=$v "; }
echo "\n", array_sum(array_map(fn($x) => sqrt($x), range(1, 100000))), "\n";
$server = stream_socket_server('tcp://127.0.0.1:0', $no, $why) or die("$why\n");
$client = stream_socket_client('tcp://' . stream_socket_get_name($server, false));
$peer = stream_socket_accept($server);
fwrite($client, "hello\n"); echo 'peer got ', fgets($peer);
[$a, $b] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
fwrite($a, str_repeat('x', 30000)); fclose($a); echo strlen(stream_get_contents($b)), "\n";
file_put_contents('out.txt', implode("\n", range(1, 1000))); rename('out.txt', 'kept.txt'); echo filesize('kept.txt'), "\n";
try { intdiv(1, 0); } catch (DivisionByZeroError $e) { echo get_class($e), "\n"; }
echo str_pad(decbin(1234), 16, '0', STR_PAD_LEFT), ' ', gmdate('Y-m-d', 0), ' ', PHP_INT_SIZE, "\n";
for ($i = 0, $s = 0; $i < 3000000; $i++) { $s = ($s * 31 + $i) % 1000003; }
echo $s, "\n";

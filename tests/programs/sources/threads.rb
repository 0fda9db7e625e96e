# Threads, queues, fibers, sockets, digests and garbage.
require 'json'; require 'digest'; require 'socket'; require 'set'; require 'tempfile'; require 'timeout'; require 'bigdecimal'
q = Queue.new
sums = Array.new(8) { |n| Thread.new { s = 0; while (v = q.pop) != :end; s += v * (1 + 0 * n); end; s } }
20_000.times { |i| q << i }
8.times { q << :end }
puts sums.sum(&:value)
f = Fiber.new { 5.times { |i| Fiber.yield i * i }; :done }
puts 6.times.map { f.resume }.join(',')
puts Digest::SHA256.hexdigest('abc' * 10_000)
puts JSON.generate({ a: [1, 2.5, nil], b: { c: "é" } })
server = TCPServer.new('127.0.0.1', 0)
t = Thread.new { 10.times { c = server.accept; c.puts(c.gets.upcase); c.close } }
puts 10.times.map { |i| s = TCPSocket.new('127.0.0.1', server.addr[1]); s.puts "msg#{i}"; r = s.gets; s.close; r.chomp }.join(' ')
t.join
r, w = IO.pipe; w << 'x' * 60_000; w.close; puts r.read.size
begin; Timeout.timeout(0.1) { sleep 5 }; rescue Timeout::Error; puts 'timeout'; end
Signal.trap('USR2') { $hit = true }; Process.kill('USR2', Process.pid); sleep 0.05; puts $hit
a = 200_000.times.map { |i| [i.to_s, i] }.to_h; GC.start; puts a.size, a['777']
puts (1..300).inject(:*), BigDecimal('2').sqrt(50).round(40).to_s
File.write('out', 'x' * 1000); puts File.size('out'); Dir.mkdir('d'); puts Dir.children('.').sort.join(',')
puts [5, 3, 9].sort.inspect, Set.new([1, 1, 2]).size

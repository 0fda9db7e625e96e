// Work for the optimising compiler and the garbage collector.
let s = 0;
for (let i = 0; i < 2e7; i++) s = (s * 31 + i) | 0;
const m = new Map();
for (let i = 0; i < 500000; i++) m.set('k' + (i % 50021), { i, list: [i, i + 1] });
const a = Float64Array.from({ length: 300000 }, (_, i) => Math.sin(i)); a.sort();
const fib = (n) => (n < 2 ? n : fib(n - 1) + fib(n - 2));
console.log(s, m.size, a[0], a[299999], fib(30), (2n ** 521n - 1n).toString().length, JSON.stringify([...m.values()]).length);
console.log('é'.normalize('NFD').length, [3, 1, 2].sort(), /(\d+)-(?<n>\w+)/.exec('12-ab').groups.n, new Date(0).toISOString(), new Intl.NumberFormat('de').format(12345.6));
try { (function f() { f(); })(); } catch (e) { console.log(e.constructor.name); }
const w = new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from([0,97,115,109,1,0,0,0,1,7,1,96,2,127,127,1,127,3,2,1,0,7,7,1,3,97,100,100,0,0,10,9,1,7,0,32,0,32,1,106,11])));
console.log(w.exports.add(40, 2));

import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;

/** Eight threads that make garbage, contend for locks and wait for each other. */
public class Garbage {
    static final ConcurrentHashMap<String, Long> MAP = new ConcurrentHashMap<>();
    static long counter;

    static long work(int n) {
        List<byte[]> kept = new ArrayList<>();
        long sum = 0;
        for (int i = 0; i < 30000; i++) {
            byte[] b = new byte[512 + (i * 31 + n) % 4096];
            b[0] = (byte) i;
            if (i % 50 == 0) kept.add(b);
            MAP.merge("k" + (i % 1000), 1L, Long::sum);
            synchronized (MAP) { counter++; }
            sum += b.length;
        }
        return sum + kept.size();
    }

    public static void main(String[] args) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(8);
        List<Future<Long>> all = new ArrayList<>();
        for (int n = 0; n < 8; n++) { int m = n; all.add(pool.submit(() -> work(m))); }
        long sum = 0;
        for (Future<Long> f : all) sum += f.get();
        System.out.println(sum + " " + counter + " " + MAP.size() + " " + MAP.get("k7"));
        CyclicBarrier barrier = new CyclicBarrier(8);
        AtomicInteger met = new AtomicInteger();
        List<Callable<Integer>> tasks = Collections.nCopies(8, () -> { for (int i = 0; i < 50; i++) { barrier.await(); met.incrementAndGet(); } return 1; });
        pool.invokeAll(tasks);
        System.out.println(met.get());
        BlockingQueue<Integer> queue = new ArrayBlockingQueue<>(10);
        Future<Long> consumer = pool.submit(() -> { long s = 0; for (int v; (v = queue.take()) >= 0; ) s += v; return s; });
        for (int i = 0; i < 20000; i++) queue.put(i);
        queue.put(-1);
        System.out.println(consumer.get());
        pool.shutdown();
        System.out.println(pool.awaitTermination(10, TimeUnit.SECONDS));
        System.out.println(java.util.stream.IntStream.range(0, 1000000).parallel().mapToLong(i -> (long) i * i % 7).sum());
        System.gc();
        System.out.println(Runtime.getRuntime().totalMemory() > 0);
    }
}

/** Null pointers, stack overflow and division by zero: the JVM turns SIGSEGV and SIGFPE into exceptions. */
public class Faults {
    int field;
    static int deep(int n) { return n + deep(n + 1); }

    public static void main(String[] args) throws Exception {
        int nulls = 0, zeros = 0;
        for (int i = 0; i < 20000; i++) {
            try { Faults f = i % 2 == 0 ? null : new Faults(); f.field = i; } catch (NullPointerException e) { nulls++; }
            try { zeros += i / (i % 3); } catch (ArithmeticException e) { zeros--; }
        }
        System.out.println(nulls + " " + zeros);
        try { deep(0); } catch (StackOverflowError e) { System.out.println("stack overflow"); }
        try { byte[][] all = new byte[1000][]; for (int i = 0; ; i++) all[i] = new byte[10_000_000]; } catch (OutOfMemoryError e) { System.out.println("out of memory"); }
        Thread t = new Thread(() -> { try { Thread.sleep(10000); } catch (InterruptedException e) { System.out.println("interrupted"); } });
        t.start(); t.interrupt(); t.join();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("hook")));
        java.lang.management.ManagementFactory.getRuntimeMXBean().getUptime();
        System.exit(5);
    }
}

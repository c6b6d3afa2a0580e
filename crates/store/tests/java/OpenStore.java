// Opens a store directory with RocketMQ's own store and its default sizes, and says how long that took.
//
//   java -cp LIB OpenStore.java DIR

import java.lang.reflect.Constructor;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.common.BrokerConfig;
import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.MessageArrivingListener;
import org.apache.rocketmq.store.config.MessageStoreConfig;
import org.apache.rocketmq.store.stats.BrokerStatsManager;

public class OpenStore {
    public static void main(String[] args) throws Exception {
        MessageStoreConfig config = new MessageStoreConfig();
        config.setStorePathRootDir(args[0]);
        config.setStorePathCommitLog(args[0] + "/commitlog");
        config.setHaListenPort(0);
        MessageArrivingListener nobody = (topic, queue, offset, tags, time, bitmap, properties) -> { };
        BrokerStatsManager stats = new BrokerStatsManager("open", false);
        Constructor<?> constructor = DefaultMessageStore.class.getConstructors()[0];
        BrokerConfig broker = new BrokerConfig();
        Object made = constructor.getParameterCount() == 4
            ? constructor.newInstance(config, stats, nobody, broker)
            : constructor.newInstance(config, stats, nobody, broker, new ConcurrentHashMap<>());
        DefaultMessageStore store = (DefaultMessageStore) made;
        long started = System.nanoTime();
        boolean loaded = store.load();
        long after = System.nanoTime();
        if (loaded) {
            store.start();
        }
        long resident = Files.lines(Paths.get("/proc/self/status"))
            .filter(line -> line.startsWith("VmRSS"))
            .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) / 1024)
            .sum();
        System.out.printf("open by Java: %s after %.2f s, load alone %.2f s, %d MiB resident, log to %d%n",
            loaded ? "serves" : "FAILED", (System.nanoTime() - started) / 1e9, (after - started) / 1e9, resident,
            store.getMaxPhyOffset());
        System.out.flush();
        Runtime.getRuntime().halt(loaded ? 0 : 1);
    }
}

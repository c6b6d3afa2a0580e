import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/**
 * Many commands of mqadmin in one process: {@code Admin FILE}, a command a line, its words split by tabs. What a command prints stands
 * between lines {@code @@ begin} and {@code @@ end}.
 */
public final class Admin {
    public static void main(String[] args) throws Exception {
        // In the order in which it is printed.
        System.setErr(System.out);
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            mark("begin");
            try {
                // Nothing at all: the list of all commands.
                MQAdminStartup.main0(line.isEmpty() ? new String[0] : line.split("\t", -1), null);
            } catch (Throwable e) {
                System.out.println(e);
            }
            mark("end");
        }
        System.exit(0);
    }

    private static void mark(String name) {
        System.out.flush();
        System.out.println("@@ " + name);
        System.out.flush();
    }
}

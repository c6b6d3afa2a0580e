import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.spring.annotation.RocketMQMessageListener;
import org.apache.rocketmq.spring.core.RocketMQListener;
import org.apache.rocketmq.spring.core.RocketMQTemplate;
import org.springframework.boot.Banner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.WebApplicationType;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/**
 * An application as its users write it: a template that sends, a bean that listens, everything else by the starter's defaults.
 * {@code Spring COMMAND key=value ...}, with {@code send} and {@code consume}; both run until stdin is closed.
 */
@Configuration
@EnableAutoConfiguration
public class Spring {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        Map<String, String> options = new HashMap<>();
        for (int i = 1; i < args.length; i++) {
            int at = args[i].indexOf('=');
            options.put(args[i].substring(0, at), args[i].substring(at + 1));
        }
        Map<String, Object> properties = new HashMap<>();
        properties.put("logging.level.root", "ERROR");
        properties.put("rocketmq.name-server", options.get("ns"));
        properties.put("e2e.command", args[0]);
        properties.put("e2e.topic", options.get("topic"));
        properties.put("e2e.group", options.getOrDefault("group", "e2e_spring"));
        if (args[0].equals("send")) {
            // Without a group the starter makes no producer.
            properties.put("rocketmq.producer.group", options.getOrDefault("group", "e2e_spring"));
        }
        SpringApplication application = new SpringApplication(Spring.class);
        application.setBannerMode(Banner.Mode.OFF);
        application.setWebApplicationType(WebApplicationType.NONE);
        application.setDefaultProperties(properties);
        ConfigurableApplicationContext context = application.run();
        line("ready", Map.of());
        if (args[0].equals("send")) {
            send(context.getBean(RocketMQTemplate.class), options);
        } else {
            waitForStdin();
        }
        context.close();
        line("done", Map.of());
        System.exit(0);
    }

    private static void send(RocketMQTemplate template, Map<String, String> options) throws Exception {
        Thread watcher = new Thread(Spring::waitForStdin);
        watcher.setDaemon(true);
        watcher.start();
        for (int number = 0; watcher.isAlive(); number++) {
            String body = options.getOrDefault("prefix", "m") + "-" + number;
            Map<String, Object> fields = new LinkedHashMap<>();
            fields.put("body", body);
            try {
                SendResult result = template.syncSend(options.get("topic"), body);
                fields.put("status", result.getSendStatus().name());
                fields.put("id", result.getMsgId());
                fields.put("offsetId", result.getOffsetMsgId());
                fields.put("broker", result.getMessageQueue().getBrokerName());
                fields.put("queue", result.getMessageQueue().getQueueId());
                fields.put("offset", result.getQueueOffset());
                line("sent", fields);
            } catch (Exception e) {
                fields.put("error", String.valueOf(e));
                line("failed", fields);
            }
            Thread.sleep(Long.parseLong(options.getOrDefault("pause", "0")));
        }
    }

    private static void waitForStdin() {
        try {
            while (System.in.read() >= 0) {
                // Whatever it is.
            }
        } catch (IOException e) {
            // It is closed, too.
        }
    }

    private static synchronized void line(String event, Map<String, Object> fields) {
        Map<String, Object> all = new LinkedHashMap<>();
        all.put("event", event);
        all.putAll(fields);
        try {
            System.out.println(JSON.writeValueAsString(all));
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    /** There where the application is to listen. */
    @Configuration
    @ConditionalOnProperty(name = "e2e.command", havingValue = "consume")
    public static class Listening {
        @Bean
        public Listener listener() {
            return new Listener();
        }
    }

    @RocketMQMessageListener(topic = "${e2e.topic}", consumerGroup = "${e2e.group}")
    public static class Listener implements RocketMQListener<MessageExt> {
        @Override
        public void onMessage(MessageExt message) {
            Map<String, Object> fields = new LinkedHashMap<>();
            fields.put("body", new String(message.getBody(), StandardCharsets.UTF_8));
            fields.put("id", message.getMsgId());
            fields.put("queue", message.getQueueId());
            fields.put("offset", message.getQueueOffset());
            fields.put("reconsume", message.getReconsumeTimes());
            line("received", fields);
        }
    }
}

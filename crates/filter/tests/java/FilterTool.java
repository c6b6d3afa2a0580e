// Says what RocketMQ's own filter module makes of expressions, to compare ours with.
//
//   java -cp LIB FilterTool.java verdicts MESSAGES EXPRESSIONS   one line an expression
//   java -cp LIB FilterTool.java bloom                           sizes and bit positions of bloom filters
//
// MESSAGES has the properties of a message in each line, name=value, separated by tabs. EXPRESSIONS has an expression in each
// line. In both # starts a comment, and \n \r \t \f \\ and \\uXXXX (with one backslash) stand for characters.
//
// A verdict is a character for each message: T it is let through, F it is not, N the expression is unknown, E it fails. A
// refused expression has a ! and the exception.

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.common.filter.ExpressionType;
import org.apache.rocketmq.filter.FilterFactory;
import org.apache.rocketmq.filter.expression.EvaluationContext;
import org.apache.rocketmq.filter.expression.Expression;
import org.apache.rocketmq.filter.util.BitsArray;
import org.apache.rocketmq.filter.util.BloomFilter;

public class FilterTool {
    static String unescape(String text) {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c != '\\') {
                out.append(c);
                continue;
            }
            c = text.charAt(++i);
            switch (c) {
                case 'n': out.append('\n'); break;
                case 'r': out.append('\r'); break;
                case 't': out.append('\t'); break;
                case 'f': out.append('\f'); break;
                case 'u':
                    out.append((char) Integer.parseInt(text.substring(i + 1, i + 5), 16));
                    i += 4;
                    break;
                default: out.append(c);
            }
        }
        return out.toString();
    }

    static String escape(String text) {
        return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t").replace("\f", "\\f");
    }

    static List<String> lines(String file) throws Exception {
        List<String> lines = new ArrayList<>();
        for (String line : Files.readAllLines(Path.of(file), StandardCharsets.UTF_8)) {
            if (!line.isEmpty() && !line.startsWith("#")) {
                lines.add(line);
            }
        }
        return lines;
    }

    static class Message implements EvaluationContext {
        final Map<String, Object> properties = new HashMap<>();

        Message(String line) {
            for (String pair : line.split("\t")) {
                int at = pair.indexOf('=');
                if (at > 0 && at + 1 < pair.length()) {
                    properties.put(pair.substring(0, at), unescape(pair.substring(at + 1)));
                }
            }
        }

        @Override
        public Object get(String name) {
            return properties.get(name);
        }

        @Override
        public Map<String, Object> keyValues() {
            return properties;
        }
    }

    static String verdicts(String text, List<Message> messages) {
        Expression expression;
        try {
            expression = FilterFactory.INSTANCE.get(ExpressionType.SQL92).compile(text);
        } catch (Exception e) {
            return "! " + escape(e.getMessage());
        }
        StringBuilder row = new StringBuilder();
        for (Message message : messages) {
            try {
                Object verdict = expression.evaluate(message);
                row.append(verdict == null ? 'N' : (Boolean) verdict ? 'T' : 'F');
            } catch (Exception e) {
                row.append('E');
            }
        }
        return row.toString();
    }

    static void bloom(StringBuilder out) {
        String[] names = {"g#t", "group#topic", "", "GID_orders#TOPIC_ORDERS", "é#☃", "0123456789abcdef", "0123456789abcde",
            "0123456789abcdef0", "%RETRY%g#t", "CID_JODIE_1#TopicTest", "a-rather-long-group-name_0123456789#a-rather-long-topic"};
        int[][] sizes = {{20, 32}, {1, 1}, {5, 100}, {10, 1000}, {33, 7}, {50, 1}, {99, 10}, {20, 64}};
        for (int[] size : sizes) {
            BloomFilter bloom = BloomFilter.createByFn(size[0], size[1]);
            BitsArray bits = BitsArray.create(bloom.getM());
            for (String name : names) {
                out.append(size[0] + " " + size[1] + " " + bloom.getK() + " " + bloom.getM());
                for (int position : bloom.calcBitPositions(name)) {
                    out.append(" " + position);
                }
                bloom.hashTo(name, bits);
                out.append(" ");
                for (byte b : bits.bytes()) {
                    out.append(String.format("%02x", b));
                }
                out.append(" " + name + "\n");
            }
        }
    }

    public static void main(String[] args) throws Exception {
        StringBuilder out = new StringBuilder();
        if (args[0].equals("verdicts")) {
            List<Message> messages = new ArrayList<>();
            for (String line : lines(args[1])) {
                messages.add(new Message(line));
            }
            for (String line : lines(args[2])) {
                out.append(verdicts(unescape(line), messages)).append('\n');
            }
        } else if (args[0].equals("bloom")) {
            bloom(out);
        } else {
            for (int c = 0; c < 65536; c++) {
                if (Character.digit((char) c, 10) == 0) {
                    out.append(String.format("%04x\n", c));
                }
            }
        }
        System.out.write(out.toString().getBytes(StandardCharsets.UTF_8));
        System.out.flush();
        System.exit(0);
    }
}

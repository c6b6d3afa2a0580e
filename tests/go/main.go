// The Go client as a program: driver COMMAND key=value ... Prints what the Java driver prints (see tests/java/driver).
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

type options map[string]string

func (o options) get(key, otherwise string) string {
	if value, ok := o[key]; ok {
		return value
	}
	return otherwise
}

func (o options) number(key string, otherwise int) int {
	if value, ok := o[key]; ok {
		number, err := strconv.Atoi(value)
		check(err)
		return number
	}
	return otherwise
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var printing sync.Mutex

func line(event string, fields map[string]any) {
	if fields == nil {
		fields = map[string]any{}
	}
	fields["event"] = event
	text, err := json.Marshal(fields)
	check(err)
	printing.Lock()
	defer printing.Unlock()
	// One object a line that starts with a brace, as the tests expect it.
	fmt.Printf("%s\n", text)
}

func main() {
	rlog.SetLogLevel("error")
	o := options{}
	for _, argument := range os.Args[2:] {
		key, value, _ := strings.Cut(argument, "=")
		o[key] = value
	}
	switch os.Args[1] {
	case "send":
		send(o)
	case "consume":
		consume(o)
	case "lite":
		lite(o)
	case "transact":
		transact(o)
	default:
		check(fmt.Errorf("no command %s", os.Args[1]))
	}
	line("done", nil)
}

// What signs requests; nothing without an account.
func (o options) credentials() primitive.Credentials {
	return primitive.Credentials{AccessKey: o["access"], SecretKey: o["secret"]}
}

func message(o options, number int) *primitive.Message {
	body := []byte(o.get("prefix", "m") + "-" + strconv.Itoa(number))
	if size := o.number("size", 0); len(body) < size {
		body = append(body, '.')
		for len(body) < size {
			body = append(body, byte('a'+len(body)%26))
		}
	}
	message := primitive.NewMessage(o["topic"], body)
	if tags := o.get("tags", ""); tags != "" {
		all := strings.Split(tags, ",")
		message.WithTag(all[number%len(all)])
	}
	if keys, ok := o["keys"]; ok {
		message.WithKeys([]string{keys + strconv.Itoa(number)})
	}
	if _, ok := o["numbered"]; ok {
		message.WithProperty("number", strconv.Itoa(number))
		message.WithProperty("name", "n"+strconv.Itoa(number%10))
	}
	return message
}

var statuses = map[primitive.SendStatus]string{
	primitive.SendOK:                "SEND_OK",
	primitive.SendFlushDiskTimeout:  "FLUSH_DISK_TIMEOUT",
	primitive.SendFlushSlaveTimeout: "FLUSH_SLAVE_TIMEOUT",
	primitive.SendSlaveNotAvailable: "SLAVE_NOT_AVAILABLE",
}

func sent(message *primitive.Message, result *primitive.SendResult, err error) {
	if err != nil {
		line("failed", map[string]any{"body": string(message.Body), "error": err.Error()})
		return
	}
	line("sent", map[string]any{
		"body": string(message.Body), "status": statuses[result.Status], "id": result.MsgID,
		"offsetId": result.OffsetMsgID, "broker": result.MessageQueue.BrokerName, "queue": result.MessageQueue.QueueId,
		"offset": result.QueueOffset,
	})
}

func send(o options) {
	p, err := rocketmq.NewProducer(
		producer.WithNameServer(primitive.NamesrvAddr{o["ns"]}),
		producer.WithGroupName(o.get("group", "e2e_producer")),
		producer.WithInstanceName(o.get("instance", "producer")),
		producer.WithSendMsgTimeout(10*time.Second),
		producer.WithRetry(o.number("retries", 0)),
		producer.WithCredentials(o.credentials()),
	)
	check(err)
	check(p.Start())
	line("ready", nil)
	from, count := o.number("from", 0), o.number("count", 1)
	ctx := context.Background()
	switch mode := o.get("mode", "sync"); mode {
	case "sync":
		var stop atomic.Bool
		if o.get("until", "") == "stdin" {
			count = math.MaxInt32
			go func() {
				_, _ = io.Copy(io.Discard, os.Stdin)
				stop.Store(true)
			}()
		}
		for i := from; i < from+count && !stop.Load(); i++ {
			message := message(o, i)
			result, err := p.SendSync(ctx, message)
			sent(message, result, err)
			time.Sleep(time.Duration(o.number("pause", 0)) * time.Millisecond)
		}
	case "async":
		inFlight := make(chan struct{}, 64)
		var all sync.WaitGroup
		for i := from; i < from+count; i++ {
			message := message(o, i)
			inFlight <- struct{}{}
			all.Add(1)
			err := p.SendAsync(ctx, func(_ context.Context, result *primitive.SendResult, err error) {
				sent(message, result, err)
				<-inFlight
				all.Done()
			}, message)
			check(err)
		}
		all.Wait()
	case "oneway":
		for i := from; i < from+count; i++ {
			message := message(o, i)
			// See the Java driver.
			if i%500 == 499 {
				result, err := p.SendSync(ctx, message)
				sent(message, result, err)
			} else {
				check(p.SendOneWay(ctx, message))
			}
		}
	case "batch":
		size := o.number("batch", 32)
		for i := from; i < from+count; i += size {
			var batch []*primitive.Message
			for j := i; j < min(i+size, from+count); j++ {
				batch = append(batch, message(o, j))
			}
			result, err := p.SendSync(ctx, batch...)
			for j, message := range batch {
				if err != nil {
					sent(message, nil, err)
					break
				}
				one := *result
				one.QueueOffset += int64(j)
				one.MsgID = ""
				sent(message, &one, nil)
			}
		}
	default:
		check(fmt.Errorf("no mode %s", mode))
	}
	check(p.Shutdown())
}

// Ends transactions as the Java driver does.
type ends struct {
	local, check []string
}

func (e ends) state(states []string, body []byte) primitive.LocalTransactionState {
	parts := strings.FieldsFunc(string(body), func(r rune) bool { return r == '-' || r == '.' })
	number, err := strconv.Atoi(parts[1])
	check(err)
	switch states[number%len(states)] {
	case "commit":
		return primitive.CommitMessageState
	case "rollback":
		return primitive.RollbackMessageState
	default:
		return primitive.UnknowState
	}
}

func (e ends) ExecuteLocalTransaction(message *primitive.Message) primitive.LocalTransactionState {
	return e.state(e.local, message.Body)
}

func (e ends) CheckLocalTransaction(message *primitive.MessageExt) primitive.LocalTransactionState {
	line("checked", map[string]any{
		"body": string(message.Body), "id": message.TransactionId, "keys": message.GetKeys(), "tag": message.GetTags(),
		"offset": message.QueueOffset,
	})
	return e.state(e.check, message.Body)
}

func transact(o options) {
	listener := ends{strings.Split(o.get("local", "commit"), ","), strings.Split(o.get("check", "commit"), ",")}
	p, err := rocketmq.NewTransactionProducer(
		listener,
		producer.WithNameServer(primitive.NamesrvAddr{o["ns"]}),
		producer.WithGroupName(o.get("group", "e2e_transactions")),
		producer.WithInstanceName(o.get("instance", "transactions")),
		producer.WithSendMsgTimeout(10*time.Second),
		producer.WithRetry(0),
	)
	check(err)
	check(p.Start())
	line("ready", nil)
	from, count := o.number("from", 0), o.number("count", 1)
	for i := from; i < from+count; i++ {
		message := message(o, i)
		result, err := p.SendMessageInTransaction(context.Background(), message)
		if err != nil {
			sent(message, nil, err)
		} else {
			sent(message, result.SendResult, nil)
		}
	}
	line("all", nil)
	_, err = io.Copy(io.Discard, os.Stdin)
	check(err)
	check(p.Shutdown())
}

func received(message *primitive.MessageExt) {
	line("received", map[string]any{
		"body": string(message.Body), "id": message.MsgId, "queue": message.Queue.QueueId, "offset": message.QueueOffset,
		"tag": message.GetTags(), "keys": message.GetKeys(), "reconsume": message.ReconsumeTimes,
	})
}

func selector(o options) consumer.MessageSelector {
	if sql, ok := o["sql"]; ok {
		return consumer.MessageSelector{Type: consumer.SQL92, Expression: sql}
	}
	return consumer.MessageSelector{Type: consumer.TAG, Expression: o.get("sub", "*")}
}

func consume(o options) {
	model := consumer.Clustering
	if o.get("model", "clustering") == "broadcasting" {
		model = consumer.BroadCasting
	}
	c, err := rocketmq.NewPushConsumer(
		consumer.WithNameServer(primitive.NamesrvAddr{o["ns"]}),
		consumer.WithGroupName(o.get("group", "e2e_consumer")),
		consumer.WithInstance(o.get("instance", "consumer")),
		consumer.WithConsumerModel(model),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
		consumer.WithConsumerOrder(o.get("order", "no") == "yes"),
		consumer.WithCredentials(o.credentials()),
		consumer.WithMaxReconsumeTimes(int32(o.number("retries", -1))),
	)
	check(err)
	// How often each message fails before it is consumed.
	fails := int32(o.number("fails", 0))
	check(c.Subscribe(o["topic"], selector(o), func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		for _, message := range messages {
			received(message)
		}
		if messages[0].ReconsumeTimes < fails {
			return consumer.ConsumeRetryLater, nil
		}
		return consumer.ConsumeSuccess, nil
	}))
	check(c.Start())
	line("ready", nil)
	_, err = io.Copy(io.Discard, os.Stdin)
	check(err)
	check(c.Shutdown())
}

func lite(o options) {
	c, err := rocketmq.NewPullConsumer(
		consumer.WithNameServer(primitive.NamesrvAddr{o["ns"]}),
		consumer.WithGroupName(o.get("group", "e2e_lite")),
		consumer.WithInstance(o.get("instance", "lite")),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	)
	check(err)
	check(c.Subscribe(o["topic"], selector(o)))
	check(c.Start())
	line("ready", nil)
	ctx := context.Background()
	for left := o.number("count", 1); left > 0; {
		request, err := c.Poll(ctx, time.Second)
		if consumer.IsNoNewMsgError(err) {
			continue
		}
		check(err)
		for _, message := range request.GetMsgList() {
			received(message)
			left--
		}
		c.ACK(ctx, request, consumer.ConsumeSuccess)
	}
	check(c.Shutdown())
}

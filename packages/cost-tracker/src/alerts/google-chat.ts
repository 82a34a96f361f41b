import type { BudgetThreshold } from '../budget.ts';
import { readUsd } from '../money.ts';
import { checkKeys, checkText } from '../options.ts';
import type { BudgetAlert } from './alert.ts';
import { systemClock } from './clock.ts';
import { checkAddress, postAlert } from './post.ts';
import type { AlertSink } from './sink.ts';
import { checkFetch } from './webhook.ts';

/** Which space of Google Chat is told. */
export interface GoogleChatSinkOptions {
  /** The address of an incoming webhook of the space, with its `key` and `token`; a secret as a whole. */
  url: string;
  /** See {@link AlertSink.name}. @defaultValue `'google-chat'` */
  name?: string;
  /** What requests are made with. @defaultValue the global `fetch` */
  fetch?: typeof fetch;
}

const SIGNS: Record<BudgetThreshold, string> = { warning: '⚠️', critical: '🚨', blocked: '⛔' };
const LONGEST_NAME = 200;

/**
 * Tells of budgets in a space of Google Chat, through an incoming webhook. All messages about one period of a budget are one thread, and
 * a message that is sent again has the same `requestId`, by which Google Chat does not show it twice.
 *
 * @throws RangeError for an option that is unknown or out of range; it does not show the address
 */
export function googleChatSink(options: GoogleChatSinkOptions): AlertSink {
  checkKeys(options, ['url', 'name', 'fetch'], 'googleChatSink options');
  const address = checkAddress(options.url, 'googleChatSink options.url');
  const name = checkText(options.name ?? 'google-chat', 'googleChatSink options.name');
  const send = checkFetch(options.fetch, 'googleChatSink options.fetch');
  return {
    name,
    send: (alert, { signal }) => {
      const url = new URL(address);
      url.searchParams.set('messageReplyOption', 'REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD');
      url.searchParams.set('requestId', alert.id);
      const body = JSON.stringify({ text: textOf(alert), thread: { threadKey: `${alert.periodStart} ${plain(alert.budget)}` } });
      const headers = { 'content-type': 'application/json; charset=UTF-8' };
      return postAlert(send, { sink: name, url, headers, body, signal }, systemClock.wall);
    },
  };
}

function textOf({ budget, level, spentUsd, limitUsd, periodStart, resetsAt }: BudgetAlert): string {
  // Rounded down, so that no line looks crossed before it is.
  const percent = Number((readUsd(spentUsd) * 1_000n) / readUsd(limitUsd)) / 10;
  const blocked = level === 'blocked' ? ' Calls that would cost more are refused.' : '';
  return (
    `${SIGNS[level]} *Budget ${plain(budget)}: ${level}*\n` +
    `${spentUsd} of ${limitUsd} USD are spent (${percent} %) since ${periodStart}; it starts again at ${resetsAt}.${blocked}`
  );
}

/** A name as one line of text that mentions nobody and links nowhere: angle brackets would. */
function plain(name: string): string {
  return name
    .slice(0, LONGEST_NAME)
    .replaceAll(/\p{Cc}/gu, ' ')
    .replaceAll('<', '‹')
    .replaceAll('>', '›');
}

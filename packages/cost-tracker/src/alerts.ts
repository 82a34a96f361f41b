export type { BudgetAlert } from './alerts/alert.ts';
export { type AlertSource, BudgetAlerts, type BudgetAlertsOptions, type DeliverOptions } from './alerts/budget-alerts.ts';
export type { AlertClock } from './alerts/clock.ts';
export type { AlertDeliveryEvent, AlertEvents, AlertFailedEvent, AlertRefusedEvent, AlertStoreEvent } from './alerts/events.ts';
export { type GoogleChatSinkOptions, googleChatSink } from './alerts/google-chat.ts';
export { type AlertSink, AlertSinkError, type AlertSinkErrorOptions, isAlertSinkError, type SendOptions } from './alerts/sink.ts';
export { type WebhookSinkOptions, webhookSink } from './alerts/webhook.ts';
